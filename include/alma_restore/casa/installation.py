"""One CASA that can restore: what it is, and the command line that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from alma_restore.casa import renormalisation
from alma_restore.errors import Inconsistent
from alma_restore.products.manifest import Manifest
from alma_restore.rules.casa_version import CasaVersion

CASA_SIDE = Path(__file__).parents[2] / "casa_side"
"""Our programs that run inside CASA's own Python."""

_COMMAND_CASATASKS = ("{python}", "{casa_side}/restore_mous.py", "{ppr}", "--cores", "{cores}")
_COMMAND_CASA_FOLDER = (
    *("xvfb-run", "-a", "{casa_home}/bin/casa"),
    *("--nogui", "--nologger", "--pipeline", "-c", "{runpipeline}", "{ppr}"),
)
_COMMAND_CASA_PACKAGES = (
    *("xvfb-run", "-a", "{python}", "-m", "casashell"),
    *("--nogui", "--nologger", "--pipeline", "-c", "{runpipeline}", "{ppr}"),
)


class Installation(BaseModel):
    """One CASA that can restore.

    Attributes:
        name: what requests and reports call it.
        engine: `pipeline`: a full CASA with the ALMA pipeline; `casatasks`: CASA's Python packages and our program;
            `copy`: no CASA at all, for load tests.
        casa_version, pipeline_version: what it is.
        python: the interpreter that has its packages.
        home: the folder of a CASA that was unpacked from its tar file.
        scriptdir: the pipeline's recipes, SCIPIPE_SCRIPTDIR of its runs.
        runpipeline: the pipeline's program that carries out a PPR; it lies beside the recipes.
        command: one element an argument, with {placeholders}.
        environment: variables that its runs need.
        launchers: where it can run; empty: wherever CASA is run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=200)
    engine: Literal["pipeline", "casatasks", "copy"]
    casa_version: str
    pipeline_version: str = ""
    python: Path | None = None
    home: Path | None = None
    scriptdir: Path | None = None
    runpipeline: Path | None = None
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = Field(default_factory=dict)
    launchers: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: dict[str, Any]) -> dict[str, Any]:
        """What follows from the other fields need not be written."""
        filled = dict(given)
        home, scriptdir = (filled.get(name) for name in ("home", "scriptdir"))
        if isinstance(home, (str, Path)):
            filled.setdefault("python", Path(home, "bin", "python3"))
        if isinstance(scriptdir, (str, Path)):
            filled.setdefault("runpipeline", Path(scriptdir).parent / "runpipeline.py")
            if isinstance(extra := filled.get("environment", {}), Mapping):
                filled["environment"] = {"SCIPIPE_SCRIPTDIR": str(scriptdir), **extra}
        if not filled.get("command"):
            folder_or_packages = _COMMAND_CASA_FOLDER if home else _COMMAND_CASA_PACKAGES
            filled["command"] = folder_or_packages if filled.get("engine") == "pipeline" else _COMMAND_CASATASKS
        return filled

    @field_validator("casa_version")
    @classmethod
    def _is_a_version(cls, text: str) -> str:
        try:
            CasaVersion.parse(text)
        except Inconsistent as error:
            raise ValueError(error.sentence) from error
        return text

    @model_validator(mode="after")
    def _command_can_be_filled_in(self) -> Installation:
        known = self._placeholders(Path("PPR.xml"), cores=1)
        used = {name for argument in self.command for name in _placeholders_in(argument)}
        if unknown := sorted(used - known.keys()):
            allowed = ", ".join(f"{{{name}}}" for name in known)
            raise ValueError(f"command: {{{unknown[0]}}} is none of {allowed}")
        if missing := sorted(name for name in used if not known[name]):
            raise ValueError(f"command: {{{missing[0]}}} is used, and {missing[0].removeprefix('casa_')} is not given")
        if "ppr" not in used:
            raise ValueError("command: without {ppr} nothing tells it what to restore")
        return self

    def argv(self, ppr: Path, cores: int) -> tuple[str, ...]:
        """The command line that restores what a PPR says."""
        values = self._placeholders(ppr, cores)
        return tuple(argument.format_map(values) for argument in self.command)

    def can_repeat(self, manifest: Manifest) -> bool:
        """Whether it can do everything that this calibration asks of a restore."""
        if self.engine == "pipeline":
            return renormalisation.can_repeat(self.casa_version, manifest)
        return not any(asdm.needs_renormalisation for asdm in manifest.asdms)

    def _placeholders(self, ppr: Path, cores: int) -> dict[str, str]:
        return {
            "ppr": str(ppr),
            "cores": str(cores),
            "python": str(self.python or ""),
            "casa_home": str(self.home or ""),
            "runpipeline": str(self.runpipeline or ""),
            "casa_side": str(CASA_SIDE),
        }


def _placeholders_in(argument: str) -> list[str]:
    """The names in braces; the whole argument where more of Python's format syntax is used."""
    found = [part for part in Formatter().parse(argument) if part[1] is not None]
    return [str(name) if not (form or conversion) else argument for _, name, form, conversion in found]
