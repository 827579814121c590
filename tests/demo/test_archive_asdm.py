"""The raw data that the generator writes: whole, and exactly what was simulated."""

from __future__ import annotations

import filecmp
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lxml import etree

from alma_restore.archive.asdm import check_asdm
from asdm_bdf import BdfHeader, write_bdf
from observation import Identity
from synthetic_sky import Simulation, Sizes, make_observation, write_synthetic_asdm

IDENTITY = Identity(
    "uid://A002/Xd248b5/Xa7a", "uid://A001/X12d1/X23e", "uid://A001/X1200/X172", "uid://A001/X12d1/X23f"
)
STARTED = "2018-09-18T04:30:00"
TINY = Sizes(antennas=5, windows=2, channels=8)


@pytest.fixture(scope="module")
def asdm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raw") / "uid___A002_Xd248b5_Xa7a"
    write_synthetic_asdm(path, IDENTITY, STARTED, TINY, seed=1)
    return path


def test_the_product_finds_it_whole(asdm: Path) -> None:
    facts = check_asdm(asdm)
    assert (facts.antennas, facts.integrations, facts.scans) == (5, 38, (1, 2, 3, 4, 5, 6))


def test_asdm_xml_counts_the_rows_of_every_table(asdm: Path) -> None:
    for entry in etree.parse(asdm / "ASDM.xml").getroot().iter("Table"):
        name, rows = (entry.findtext("Name") or "").strip(), int(entry.findtext("NumberRows") or "")
        table = asdm / f"{name}.xml"
        assert table.exists() == (rows > 0)
        if rows:
            assert len(etree.parse(table).getroot().findall("row")) == rows


def test_no_entity_has_the_uid_of_another(asdm: Path) -> None:
    uids = [entity.attrib["entityId"] for path in asdm.glob("*.xml") for entity in _entities(path)]
    uids += [path.name.replace("___", "://").replace("_", "/") for path in (asdm / "ASDMBinary").iterdir()]
    assert len(uids) == len(set(uids))


def _entities(path: Path) -> list[etree._Element]:
    return etree.parse(path).getroot().findall("Entity")


def test_binary_files_hold_the_simulated_values(asdm: Path) -> None:
    observation = make_observation(IDENTITY, STARTED, TINY)
    simulation = Simulation(observation, seed=1)
    for scan_number, (scan, path) in enumerate(zip(observation.scans, _bdfs_by_scan(asdm), strict=True), start=1):
        content = path.read_bytes()
        for number, integration in enumerate(simulation.integrations(scan), start=1):
            for name, values in (("crossData", integration.cross), ("autoData", integration.auto)):
                header = f"Content-Location: 1/{scan_number}/1/{number}/{name}.bin\n\n".encode()
                start = content.index(header) + len(header)
                assert np.array_equal(np.frombuffer(content, values.dtype, values.size, start), values.ravel())


def _bdfs_by_scan(asdm: Path) -> list[Path]:
    references = etree.parse(asdm / "Main.xml").getroot().iterfind("row/dataUID/EntityRef")
    uids = [reference.attrib["entityId"] for reference in references]
    return [asdm / "ASDMBinary" / uid.replace(":", "_").replace("/", "_") for uid in uids]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(asdm: Path, tmp_path: Path) -> None:
    again = write_and_list(tmp_path / "again" / asdm.name, seed=1)
    other = write_and_list(tmp_path / "other" / asdm.name, seed=2)
    assert filecmp.cmpfiles(asdm, tmp_path / "again" / asdm.name, again, shallow=False)[0] == again
    differing = filecmp.cmpfiles(asdm, tmp_path / "other" / asdm.name, other, shallow=False)[1]
    assert differing == [name for name in other if name.startswith("ASDMBinary/")]


def write_and_list(path: Path, seed: int) -> list[str]:
    write_synthetic_asdm(path, IDENTITY, STARTED, TINY, seed)
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


def test_writing_again_leaves_nothing_of_the_old(asdm: Path, tmp_path: Path) -> None:
    path = tmp_path / asdm.name
    (path / "ASDMBinary").mkdir(parents=True)
    (path / "ASDMBinary" / "uid___A002_X0_X0").write_text("old")
    assert "ASDMBinary/uid___A002_X0_X0" not in write_and_list(path, seed=1)


def test_a_bdf_with_another_number_of_integrations_than_announced_is_an_error(tmp_path: Path) -> None:
    observation = make_observation(IDENTITY, STARTED, TINY)
    scan = observation.scans[0]
    header = BdfHeader(
        "uid://A002/X1/X2", "uid://A002/X1/X1", "1/1/1/", scan.start, scan.integrations + 1, 6.048, 5, 2, 8
    )
    with pytest.raises(ValueError, match="10 integrations came, 11 were announced"):
        write_bdf(tmp_path / "bdf", header, Simulation(observation, seed=1).integrations(scan))


@pytest.mark.parametrize(
    "sizes", [{"antennas": 4}, {"antennas": 51}, {"windows": 5}, {"channels": 4}, {"scale": 0}], ids=str
)
def test_sizes_that_cannot_be_calibrated_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="Sizes"):
        replace(TINY, **sizes)


@pytest.mark.parametrize("antennas", [5, 50])
def test_antennas_do_not_stand_on_each_other(antennas: int) -> None:
    observation = make_observation(IDENTITY, STARTED, Sizes(antennas=antennas))
    positions = np.array([antenna.position for antenna in observation.antennas])
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)[np.triu_indices(antennas, 1)]
    assert distances.min() > 14.9
    assert len({antenna.name for antenna in observation.antennas}) == antennas
