"""Damage to an ASDM is found by name before CASA meets it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace as replaced
from pathlib import Path

import pytest

from alma_restore.archive import bdf
from alma_restore.archive.asdm import check_asdm
from alma_restore.archive.asdm_structure import SpectralWindow, spectral_windows
from alma_restore.errors import Corrupt
from alma_restore.uid import Uid

EB = Uid("uid://A002/Xd248b5/Xa7a")


@pytest.fixture(scope="session")
def whole_asdm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from observation import Identity
    from synthetic_sky import Sizes, write_synthetic_asdm

    folder = tmp_path_factory.mktemp("asdm") / EB.sanitised
    identity = Identity(str(EB), "uid://A001/X133d/X1ab2", "uid://A001/X133c/Xf", "uid://A001/X133d/X1ab4")
    write_synthetic_asdm(folder, identity, "2019-07-01T04:30:00", Sizes(antennas=5, windows=1, channels=8), seed=1)
    return folder


@pytest.fixture
def asdm(whole_asdm: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_asdm, tmp_path / EB.sanitised))


def bdfs(asdm: Path) -> list[Path]:
    return sorted((asdm / "ASDMBinary").iterdir())


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def count(path: Path, element: str, number: int) -> None:
    """Change the first such number."""
    path.write_text(re.sub(rf"<{element}>[^<]*<", f"<{element}>{number}<", path.read_text(), count=1))


def truncate(path: Path, more: int, filling: bytes = b"") -> None:
    content = path.read_bytes()
    path.write_bytes(content[:more] if more < 0 else content + filling * more)


def test_a_whole_asdm_tells_what_it_holds(asdm: Path) -> None:
    facts = check_asdm(asdm)
    assert facts.uid == EB
    assert facts.size_bytes == sum(path.stat().st_size for path in asdm.rglob("*") if path.is_file())
    assert facts.main_rows == len(bdfs(asdm)) == 6
    assert facts.integrations == 38
    assert facts.scans == (1, 2, 3, 4, 5, 6)
    assert facts.fields == ("J1924-2914", "J1832-2039", "DemoTarget")
    assert (facts.antennas, facts.spectral_windows) == (5, 1)
    assert facts.ms_rows == 38 * (5 + 10)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no ASDM.xml": (lambda asdm: (asdm / "ASDM.xml").unlink(), r"ASDM\.xml"),
    "a table is missing": (lambda asdm: (asdm / "Scan.xml").unlink(), "Table Scan .* is missing"),
    "Main is missing": (lambda asdm: (asdm / "Main.xml").unlink(), "Table Main .* is missing"),
    "a table is empty": (lambda asdm: (asdm / "Feed.xml").write_text(""), r"Feed\.xml"),
    "a table is cut": (lambda asdm: (asdm / "Feed.xml").write_text("<FeedTable><row>"), r"Feed\.xml"),
    "a table is another one": (lambda asdm: shutil.copy(asdm / "Scan.xml", asdm / "Feed.xml"), r"Feed\.xml holds"),
    "a row is missing": (
        lambda asdm: replace(asdm / "ASDM.xml", "<NumberRows> 5 </NumberRows>", "<NumberRows> 6 </NumberRows>"),
        "Table Antenna .* has 5 rows; ASDM.xml says 6",
    ),
    "a table declares entities": (
        lambda asdm: (asdm / "State.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><StateTable><row/></StateTable>'),
        r"State\.xml declares XML entities",
    ),
    "no Main in ASDM.xml": (lambda asdm: replace(asdm / "ASDM.xml", " Main ", " Mian "), "names no Main table"),
    "no uid in ASDM.xml": (lambda asdm: replace(asdm / "ASDM.xml", str(EB), "x"), "names no execution block"),
    "no number of rows": (lambda asdm: replace(asdm / "ASDM.xml", "> 5 <", "> few <"), "NumberRows 'few'"),
    "a table's name leads outside": (
        lambda asdm: replace(asdm / "ASDM.xml", " Feed ", " ../Feed "),
        "Table ../Feed .* is missing",
    ),
    "a BDF is missing": (lambda asdm: bdfs(asdm)[2].unlink(), "Xa7d of scan 3 is missing"),
    "a BDF is empty": (lambda asdm: bdfs(asdm)[2].write_bytes(b""), "Xa7d has 0 bytes"),
    "a BDF is truncated": (lambda asdm: truncate(bdfs(asdm)[2], -1000), "Xa7d has .* bytes; Main.xml says"),
    "a BDF goes on": (lambda asdm: truncate(bdfs(asdm)[2], 1000, b"?"), "Xa7d goes on after its end"),
    "a BDF is another one": (
        lambda asdm: shutil.copy(bdfs(asdm)[2], bdfs(asdm)[4]),
        "Xa7f holds the data of uid://A002/Xd248b5/Xa7d",
    ),
    "an integration is missing": (
        lambda asdm: count(asdm / "Main.xml", "numIntegration", 11),
        "Xa7b has 10 integrations; Main.xml says 11",
    ),
    "an antenna is missing": (
        lambda asdm: count(asdm / "Main.xml", "numAntenna", 6),
        "Xa7b has data of 5 antennas; Main.xml says 6",
    ),
}


@pytest.mark.parametrize(("harm", "words"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_found_by_name(asdm: Path, harm: Callable[[Path], object], words: str) -> None:
    harm(asdm)
    with pytest.raises(Corrupt, match=words) as caught:
        check_asdm(asdm)
    assert caught.value.remedy


def test_a_large_table_may_be_binary(asdm: Path) -> None:
    (asdm / "Pointing.xml").write_text(
        "<PointingTable><BulkStoreRef file_id='x' byteOrder='Big_Endian'/></PointingTable>"
    )
    with pytest.raises(Corrupt, match=r"Table Pointing .* has 0 rows"):
        check_asdm(asdm)
    whole = b"MIME-Version: 1.0\nContent-Type: Multipart/Related\n\n" + b"\0" * 100 + b"\n--MIME_boundary--\n"
    (asdm / "Pointing.bin").write_bytes(whole)
    assert check_asdm(asdm).main_rows == 6
    for damaged in (whole[:-10], whole[1:], b""):
        (asdm / "Pointing.bin").write_bytes(damaged)
        with pytest.raises(Corrupt, match=r"Table Pointing\.bin .* is damaged"):
            check_asdm(asdm)


# --- one BDF ---------------------------------------------------------------------------------------------------------

STRUCTURE = (
    b"Version: 1.0",
    b"boundary=",
    b"--MIME_boundary-1\nContent-Type: text/xml",
    b"\n\n<?",
    b"<sdmDataHeader",
    b'byteOrder="',
    b"CROSS_AND_AUTO",
    b"FULL_RESOLUTION",
    b"CORRELATOR",
    b'flags size="',
    b'crossData size="',
    b"<numAntenna>",
    b"</sdmDataHeader>",
    b"--MIME_boundary-1\nContent-Type: Multipart",
    b'boundary="MIME_boundary-2"',
    b"<sdmDataSubsetHeader",
    b"FLOAT32_TYPE",
    b"crossData xlink",
    b"</sdmDataSubsetHeader>",
    b"--MIME_boundary-2\nContent-Type: binary",
    b"flags.bin\n",
    b"autoData.bin\n\n",
    b"--MIME_boundary-2--\n",
    b"--MIME_boundary-1--",
)


@pytest.mark.parametrize("token", STRUCTURE, ids=repr)
def test_a_flipped_byte_in_a_header_is_found(whole_asdm: Path, tmp_path: Path, token: bytes) -> None:
    """Wherever the reader relies on it, in the first place and in the last."""
    content = bdfs(whole_asdm)[1].read_bytes()
    path = tmp_path / "bdf"
    binary_types = token.endswith((b"text/xml", b"Multipart", b"binary"))
    for start in {content.find(token), content.rfind(token)}:
        for place in range(start, start + (token.index(b"\n") if binary_types else len(token))):
            path.write_bytes(content[:place] + bytes([content[place] ^ 0x01]) + content[place + 1 :])
            with pytest.raises(Corrupt, match="bdf"):
                bdf.read(path)


def test_a_bdf_that_ends_early_is_found_wherever_it_ends(whole_asdm: Path, tmp_path: Path) -> None:
    content = bdfs(whole_asdm)[1].read_bytes()
    path = tmp_path / "bdf"
    for length in [*range(0, len(content) - 1, 37), len(content) - 2]:
        path.write_bytes(content[:length])
        with pytest.raises(Corrupt, match="BDF bdf"):
            bdf.read(path)


def test_the_numbers_between_the_headers_are_stepped_over(whole_asdm: Path, tmp_path: Path) -> None:
    """Bytes of data may look like anything, a boundary too."""
    content = bdfs(whole_asdm)[1].read_bytes()
    start = content.index(b"crossData.bin\n\n") + len(b"crossData.bin\n\n")
    disguise = b"\n--MIME_boundary-1--\n\n--MIME_boundary-2\n"
    path = tmp_path / "bdf"
    path.write_bytes(content[:start] + disguise + content[start + len(disguise) :])
    assert bdf.read(path) == bdf.read(bdfs(whole_asdm)[1])


def total_power(times: int, subsets: int = 1) -> bytes:
    """A BDF as a radiometer writes it: namespaces, one subset of many integrations, no line end at the end."""
    parts = {"flags": 4 * times, "actualTimes": 4 * times, "actualDurations": 4 * times, "autoData": 8 * times}
    sizes = "".join(f'<{name} size="{size}" axes="TIM ANT"/>' for name, size in parts.items())
    header = (
        f'<sdmDataHeader byteOrder="Little_Endian" xmlns="http://Alma/sdmDataObject/sdmbin" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<dataOID xlink:href="uid://A002/X1/X2"/><numTime>{times}</numTime><numAntenna>4</numAntenna>'
        f'<dataStruct><baseband name="BB_1"/>{sizes}<zeroLags size="0"/></dataStruct></sdmDataHeader>\n'
    )
    links = "".join(f'<{name} xlink:href="1/1/1/1/{name}.bin"/>' for name in parts)
    subset = (
        f'<sdmDataSubsetHeader xmlns="http://Alma/sdmDataObject/sdmbin" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f"{links}</sdmDataSubsetHeader>\n"
    )
    outer, inner = b"--MIME_boundary-1", b"--MIME_boundary-2"
    content = b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="MIME_boundary-1"; type="text/xml";\n'
    content += b"Content-Description: ALMA/RADIOMETER\nContent-Location: uid://A002/X1/X2\n\n"
    content += outer + b"\nContent-Type: text/xml\nContent-Location: sdmDataHeader.xml\n\n" + header.encode()
    for _ in range(subsets):
        content += outer + b'\nContent-Type: Multipart/Related; boundary="MIME_boundary-2"\nContent-Description: x\n\n'
        content += inner + b"\nContent-Type: text/xml\n\n" + subset.encode()
        for name, size in parts.items():
            value_bytes = 8 if name.startswith("actual") else 4
            content += inner + f"\nContent-Type: binary/octet-stream\nContent-Location: 1/1/1/1/{name}.bin\n\n".encode()
            content += bytes(size * value_bytes) + b"\n"
        content += inner + b"--\n"
    return content + outer + b"--"


def test_total_power_data_hold_all_integrations_in_one_subset(tmp_path: Path) -> None:
    path = tmp_path / "bdf"
    path.write_bytes(total_power(times=12))
    assert bdf.read(path) == bdf.Bdf("uid://A002/X1/X2", antennas=4, subsets=1, times=12)
    assert bdf.read(path).holds(12)
    assert not bdf.read(path).holds(11)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"MIME-Version", b"mime-version", "does not begin as a BDF"),
        (b"autoData.bin\n", b"autoDate.bin\n", "holds a part that its header does not announce"),
        (b'autoData size="16"', b'autoData size="15"', "has a part of another size"),
        (b'autoData size="16"', b'autoData size="many"', "where a number belongs"),
        (b"<sdmDataHeader", b'<!DOCTYPE x [<!ENTITY a "b">]><sdmDataHeader', "declares XML entities"),
    ],
)
def test_the_message_tells_what_is_wrong_with_a_bdf(tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
    content = total_power(times=2)
    assert old in content
    (tmp_path / "bdf").write_bytes(content.replace(old, new, 1))
    with pytest.raises(Corrupt, match=words):
        bdf.read(tmp_path / "bdf")


def test_a_subset_without_its_data_is_found(tmp_path: Path) -> None:
    content = total_power(times=2)
    start = content.index(b"--MIME_boundary-2\nContent-Type: binary/octet-stream\nContent-Location: 1/1/1/1/autoData")
    (tmp_path / "bdf").write_bytes(content[:start] + content[content.index(b"--MIME_boundary-2--") :])
    with pytest.raises(Corrupt, match="lacks autoData"):
        bdf.read(tmp_path / "bdf")


def test_spectral_windows_are_numbered_as_importasdm_numbers_them(asdm: Path) -> None:
    """By their ids, in whatever order the table has them; those without data come last."""
    table = asdm / "SpectralWindow.xml"
    row = re.search("<row>.*</row>", table.read_text(), re.DOTALL)[0]
    rows = [
        re.sub("#BB_1#", f"#BB_{tag}#", row).replace("SpectralWindow_0<", f"SpectralWindow_{tag}<")
        for tag in (3, 10, 2)
    ]
    replace(table, row, "\n".join(rows))
    used = (asdm / "DataDescription.xml").read_text()
    description = re.search("<row>.*</row>", used, re.DOTALL)[0]
    both = [description.replace("SpectralWindow_0<", f"SpectralWindow_{tag}<") for tag in (10, 3)]
    replace(asdm / "DataDescription.xml", description, "\n".join(both))
    assert [window.name.split("#")[2] for window in spectral_windows(asdm)] == ["BB_3", "BB_10", "BB_2"]


@pytest.mark.parametrize(("element", "value"), [("spectralWindowId", "SpectralWindow"), ("refFreq", "1 GHz")])
def test_a_spectral_window_that_cannot_be_read_is_damage(asdm: Path, element: str, value: str) -> None:
    table = asdm / "SpectralWindow.xml"
    table.write_text(re.sub(f"<{element}>[^<]*<", f"<{element}>{value}<", table.read_text()))
    with pytest.raises(Corrupt, match=f"SpectralWindowTable has {element} '{value}' where a number belongs"):
        spectral_windows(asdm)


NAMED = SpectralWindow("X1#ALMA_RB_03#BB_1#SW-01#FULL_RES", "BB_1", 128, 97e9)
OF_CYCLE_0 = SpectralWindow("", "BB_1", 128, 97e9)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (NAMED, replaced(NAMED, hz=97.02e9), True),
        (NAMED, replaced(NAMED, name="X2/X3#X1#ALMA_RB_03#BB_1#SW-01#FULL_RES"), True),
        (NAMED, replaced(NAMED, name="ALMA_RB_03#BB_1#SW-01#FULL_RES"), True),
        (NAMED, replaced(NAMED, name="X1#ALMA_RB_03#BB_2#SW-01#FULL_RES"), False),
        (NAMED, replaced(NAMED, name="X2#ALMA_RB_03#BB_1#SW-01#FULL_RES"), False),
        (NAMED, OF_CYCLE_0, True),
        (OF_CYCLE_0, replaced(OF_CYCLE_0, hz=97.02e9), True),  # seen from the Earth in another season
        (OF_CYCLE_0, replaced(OF_CYCLE_0, hz=99e9), False),
        (OF_CYCLE_0, replaced(OF_CYCLE_0, channels=3840), False),
        (OF_CYCLE_0, replaced(OF_CYCLE_0, baseband="BB_2"), False),
    ],
)
def test_spectral_windows_are_the_same_by_name_or_where_they_have_none_by_what_they_observe(
    one: SpectralWindow, other: SpectralWindow, same: bool
) -> None:
    assert (one.is_of_the_setup_of(other), other.is_of_the_setup_of(one)) == (same, same)
