"""The generator with real CASA: what CASA reads is what was simulated, and comparisons notice a single bit."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alma_restore.casa.casa_home import CASA_SIDE
from alma_restore.products import calapply, tarballs
from mous_spec import BlockSpec, MousSpec
from synthetic_sky import Simulation, Sizes, make_observation

EB = BlockSpec("uid://A002/Xd248b5/Xa7a", "session_1", "2018-09-18T04:30:00")
MOUS = MousSpec(
    uid="uid://A001/X12d1/X23e",
    project_code="2017.1.00370.S",
    project_uid="uid://A001/X1200/X172",
    sched_block_uid="uid://A001/X12d1/X23f",
    execution_blocks=(EB,),
    sizes=Sizes(antennas=5, windows=2, channels=8),
)
MAKE_BLOCK = """
import sys
from pathlib import Path
from block_products import make_block
from mous_spec import MousSpec
mous, archive, folder = (Path(argument) for argument in sys.argv[1:])
spec = MousSpec.read(mous)
make_block(spec, spec.execution_blocks[0], archive, folder)
"""
FLIP_ONE_FLAG = """
import sys
from casatools import table
ms = table()
ms.open(sys.argv[1], nomodify=False)
flags = ms.getcell("FLAG", 7)
flags[0, 3] = not flags[0, 3]
ms.putcell("FLAG", 7, flags)
ms.close()
"""

Casa = Callable[..., None]


@pytest.fixture(scope="module")
def casa(
    casa_python: Path, casa_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., None]:
    """Runs CASA's Python with these arguments."""
    folder = tmp_path_factory.mktemp("casa")
    environment = {**os.environ, **casa_environment, "PYTHONPATH": str(CASA_SIDE)}

    def run(*arguments: object) -> None:
        command = [str(casa_python), *map(str, arguments)]
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    return run


@pytest.fixture(scope="module")
def made(casa: Casa, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small execution block, calibrated; `calibrated/` keeps its MeasurementSet."""
    folder = tmp_path_factory.mktemp("made")
    for name in ("asdm", "ngas", "reference"):
        (folder / name).mkdir()
    (folder / "spec.json").write_text(MOUS.to_json())
    casa("-c", MAKE_BLOCK, folder / "spec.json", folder, folder / "calibrated")
    return folder


@pytest.fixture(scope="module")
def reference(made: Path) -> dict[str, np.ndarray]:
    with np.load(made / "reference" / MOUS.name / f"{EB.vis}.npz") as snapshot:
        return dict(snapshot)


def test_importasdm_reads_every_row_as_it_was_simulated(reference: dict[str, np.ndarray]) -> None:
    observation = make_observation(MOUS.identity(EB), EB.started, MOUS.sizes)
    simulation = Simulation(observation, MOUS.block_seed(EB))
    expected = np.concatenate([_rows(each) for scan in observation.scans for each in simulation.integrations(scan)])
    assert np.array_equal(np.moveaxis(reference["DATA"], -1, 0), expected)


def _rows(integration: Any) -> np.ndarray:
    """The rows of one integration as CASA orders them when sorted: window, first antenna, second antenna."""
    antennas, windows, channels, polarisations = integration.auto.shape
    rows = np.zeros((windows, antennas, antennas, polarisations, channels), np.complex64)
    second, first = np.tril_indices(antennas, -1)
    rows[:, first, second] = integration.cross.transpose(1, 0, 3, 2)
    rows[:, range(antennas), range(antennas)] = integration.auto.transpose(1, 0, 3, 2)
    one, other = np.triu_indices(antennas)
    return rows[:, one, other].reshape(-1, polarisations, channels)


def test_the_calibration_recovers_the_sky(reference: dict[str, np.ndarray]) -> None:
    good = ~reference["FLAG"] & (reference["ANTENNA1"] != reference["ANTENNA2"])
    for field, jansky in ((0, 3.0), (1, 0.8)):
        mean = reference["CORRECTED_DATA"][good & (reference["FIELD_ID"] == field)].mean()
        assert abs(mean - jansky) < 0.05 * jansky
    assert not np.array_equal(reference["CORRECTED_DATA"], reference["DATA"])
    assert 0.2 < reference["FLAG"].mean() < 0.6  # autocorrelations and, of so few channels, every fourth


def test_flags_of_correlator_and_control_software_are_in_the_reference(reference: dict[str, np.ndarray]) -> None:
    first_integration = reference["TIME"] == reference["TIME"].min()
    last_window = reference["DATA_DESC_ID"] == 1
    assert reference["FLAG"][..., first_integration & last_window & (reference["ANTENNA1"] == 2)].all()
    slewing = (reference["SCAN_NUMBER"] == 3) & (
        reference["TIME"] < reference["TIME"][reference["SCAN_NUMBER"] == 3].min() + 6
    )
    assert reference["FLAG"][..., slewing & (reference["ANTENNA1"] == 3)].all()


def test_products_of_the_block_name_the_tables_it_left(made: Path, tmp_path: Path) -> None:
    calls = calapply.read(made / "ngas" / f"{EB.vis}.calapply.txt")
    tables = {table for call in calls for table in call.gaintable}
    assert all((made / "calibrated" / table).is_dir() for table in tables)
    assert any((0, 0) in call.spwmap for call in calls)
    tarballs.check(made / "ngas" / f"{EB.vis}.flagversions.tgz")


def test_a_comparison_notices_one_flag(made: Path, casa: Casa, tmp_path: Path) -> None:
    vis, compare = made / "calibrated" / EB.vis, CASA_SIDE / "compare_with_reference.py"

    def compared(reference: Path) -> dict[str, Any]:
        casa(compare, "--reference", reference, "--out", tmp_path / "found.json", vis)
        found: dict[str, Any] = json.loads((tmp_path / "found.json").read_text())
        return found

    references = made / "reference" / MOUS.name
    rows = 38 * 2 * 15
    assert compared(references) == {EB.vis: {"rows": rows, "identical": True, "differ": []}}
    casa("-c", FLIP_ONE_FLAG, vis)
    assert compared(references) == {EB.vis: {"rows": rows, "identical": False, "differ": ["FLAG"]}}
    assert compared(tmp_path) == {EB.vis: {"rows": rows, "identical": None, "differ": None}}
