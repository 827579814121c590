"""What to make: one MOUS with its execution blocks, as a JSON file says."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from observation import Identity
from synthetic_sky import Sizes


@dataclass(frozen=True)
class BlockSpec:
    """One execution block: when it was observed (ISO, UTC), in which session, with which QA0 verdict."""

    uid: str
    session: str
    started: str
    qa0: str = "Pass"

    @property
    def vis(self) -> str:
        """The name of its MeasurementSet."""
        return f"{sanitised(self.uid)}.ms"


@dataclass(frozen=True)
class MousSpec:
    """One MOUS.

    Attributes:
        recipe: of the calibration, part of the products' names.
        prefix: what the names of MOUS-level product files begin with in the archive: `member.` or nothing.
        pipeline_version: told in the manifest; the CASA version there is that of the CASA that calibrates.
    """

    uid: str
    project_code: str
    project_uid: str
    sched_block_uid: str
    execution_blocks: tuple[BlockSpec, ...]
    sizes: Sizes = field(default_factory=Sizes)
    recipe: str = "hifa_calimage"
    prefix: str = ""
    pipeline_version: str = "2025.1.0.36"
    seed: int = 1

    @classmethod
    def read(cls, path: Path) -> MousSpec:
        fields = json.loads(path.read_text())
        fields["execution_blocks"] = tuple(BlockSpec(**block) for block in fields["execution_blocks"])
        fields["sizes"] = Sizes(**fields.get("sizes", {}))
        return cls(**fields)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    @property
    def name(self) -> str:
        """The MOUS as it stands in file names."""
        return sanitised(self.uid)

    @property
    def passed(self) -> tuple[BlockSpec, ...]:
        return tuple(block for block in self.execution_blocks if block.qa0 == "Pass")

    @property
    def sessions(self) -> dict[str, tuple[BlockSpec, ...]]:
        """The Pass blocks of each session that has any."""
        names = sorted({block.session for block in self.passed})
        return {name: tuple(block for block in self.passed if block.session == name) for name in names}

    def identity(self, block: BlockSpec) -> Identity:
        return Identity(block.uid, self.uid, self.project_uid, self.sched_block_uid)

    def block_seed(self, block: BlockSpec) -> int:
        return self.seed * 1000 + self.execution_blocks.index(block)


def sanitised(uid: str) -> str:
    return uid.replace(":", "_").replace("/", "_")
