"""Archives from outside: what is whole is unpacked, what is hostile or damaged is refused by name."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from pathlib import Path

import pytest

from alma_restore.errors import Corrupt, NotAvailable
from alma_restore.products import tarballs
from alma_restore.products.tarballs import Limits

NAME = "uid___A001_X1_X2.hifa_calimage.auxproducts.tgz"


def member(name: str, content: bytes = b"x", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, content


def folder(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, b"", type=tarfile.DIRTYPE, mode=mode)


@pytest.fixture
def tgz(tmp_path: Path) -> Path:
    return tmp_path / NAME


def pack(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return path


WHOLE = (
    folder("./tables.tbl"),
    member("./tables.tbl/table.dat", b"data" * 1000),
    member("flux.csv", b"field,spw\n"),
    folder("shared", mode=0o2775),
    member("a" * 150 + "/" + "b" * 150, b"long names"),
)
WHOLE_NAMES = ("a" * 150 + "/" + "b" * 150, "flux.csv", "tables.tbl/table.dat")


def test_a_python_without_tar_filters_unpacks_as_well(
    tgz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Debian 12's Python 3.11.2."""

    def extract(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        unfiltered(archive, member, path, filter="fully_trusted")

    unfiltered = tarfile.TarFile.extract
    monkeypatch.setattr(tarfile.TarFile, "extract", extract)
    monkeypatch.delattr(tarfile, "data_filter")
    pack(tgz, *WHOLE, member("script.py", mode=0o777, uid=12345))
    into = tmp_path / "products"
    assert tarballs.extract(tgz, into) == (*WHOLE_NAMES[:2], "script.py", WHOLE_NAMES[2])
    assert (into / "script.py").stat().st_mode & 0o7777 == 0o644
    assert (into / "script.py").stat().st_uid == os.getuid()


def test_a_whole_archive_is_unpacked(tgz: Path, tmp_path: Path) -> None:
    pack(tgz, *WHOLE)
    assert tarballs.check(tgz) == WHOLE_NAMES
    into = tmp_path / "products"
    for _ in range(2):  # the second time repairs
        assert tarballs.extract(tgz, into) == WHOLE_NAMES
        assert (into / "flux.csv").read_bytes() == b"field,spw\n"
        assert (into / "tables.tbl" / "table.dat").read_bytes() == b"data" * 1000
        (into / "flux.csv").write_text("damaged since")


HOSTILE = {
    "path traversal": (member("../evil"), "'../evil', which leads outside"),
    "path traversal further in": (member("a/../../evil"), "which leads outside"),
    "a folder outside": (folder("../evil"), "which leads outside"),
    "absolute name": (member("/etc/evil"), "'/etc/evil', an absolute name"),
    "symbolic link": (member("evil", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "'evil', a link"),
    "harmless-looking link": (member("evil", b"", type=tarfile.SYMTYPE, linkname="flux.csv"), "'evil', a link"),
    "hard link": (member("evil", b"", type=tarfile.LNKTYPE, linkname="flux.csv"), "'evil', a link"),
    "block device": (member("evil", b"", type=tarfile.BLKTYPE), "neither file nor folder"),
    "character device": (member("evil", b"", type=tarfile.CHRTYPE), "neither file nor folder"),
    "pipe": (member("evil", b"", type=tarfile.FIFOTYPE), "neither file nor folder"),
    "setuid": (member("evil", mode=0o4755), "setuid"),
    "setgid": (member("evil", mode=0o2755), "setgid"),
    "a name that comes twice": (member("./flux.csv"), "'flux.csv' twice"),
    "a file where a folder is": (member("tables.tbl"), "'tables.tbl' twice"),
    "a folder where a file is": (member("flux.csv/evil"), "'flux.csv/evil' twice"),
    "no printable name": (member("ev\nil"), "no usable name"),
    "a name longer than the disk allows": (member("e" * 256), "no usable name"),
}


@pytest.mark.parametrize(("evil", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_member_is_refused_by_name_and_nothing_is_written(
    tgz: Path, tmp_path: Path, evil: tuple[tarfile.TarInfo, bytes], words: str
) -> None:
    pack(tgz, *WHOLE, evil)
    into = tmp_path / "rawdata" / "products"
    with pytest.raises(Corrupt) as caught:
        tarballs.extract(tgz, into)
    assert NAME in caught.value.sentence
    assert words in caught.value.sentence
    assert "Nothing was unpacked" in caught.value.remedy
    assert not into.parent.exists()


def test_a_file_with_holes_is_refused(tgz: Path) -> None:
    """Sixty bytes that claim to be a terabyte."""
    holes = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**40)}
    holes["GNU.sparse.name"] = "evil"
    content = b"1\n0\n1\n".ljust(512, b"\0") + b"x"
    with tarfile.open(tgz, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("GNUSparseFile.0/evil")
        info.size, info.pax_headers = len(content), holes
        archive.addfile(info, io.BytesIO(content))
    with pytest.raises(Corrupt, match="holes"):
        tarballs.check(tgz)


def test_a_link_that_lies_in_the_folder_already_leads_nowhere(tgz: Path, tmp_path: Path) -> None:
    pack(tgz, *WHOLE)
    (tmp_path / "products").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "products" / "tables.tbl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Corrupt, match="outside"):
        tarballs.extract(tgz, tmp_path / "products")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(members=4), "more than 4 members"),
        (Limits(total_bytes=10_000_000), "unpacks to far more than its"),
    ],
    ids=["members", "size"],
)
def test_an_archive_beyond_the_limits_is_refused(tgz: Path, limits: Limits, words: str) -> None:
    pack(tgz, *WHOLE, member("zeros", bytes(20_000_000)))
    assert tarballs.check(tgz)
    with pytest.raises(Corrupt, match=words):
        tarballs.check(tgz, limits)


def zeros(path: Path, size_bytes: int) -> Path:
    """An archive of one file of zeros, as far packed as deflate can; streams of gzip follow one another in it."""
    info = tarfile.TarInfo("zeros")
    info.size = size_bytes
    block = 64 * 1024**2
    ending = bytes(size_bytes % block + -size_bytes % 512 + 2 * 512)
    packed = gzip.compress(info.tobuf()) + gzip.compress(bytes(block)) * (size_bytes // block) + gzip.compress(ending)
    path.write_bytes(packed)
    return path


def test_flags_that_are_nearly_all_alike_are_no_bomb(tgz: Path) -> None:
    """Those of a large execution block: more than a gigabyte of bits, packed as far as deflate can."""
    size_bytes = 1_300 * 10**6
    assert zeros(tgz, size_bytes).stat().st_size * 1000 < size_bytes
    assert tarballs.check(tgz) == ("zeros",)


def test_a_bomb_is_stopped_while_it_goes_off(tgz: Path, tmp_path: Path) -> None:
    """What comes behind the limit is not even read: here that is damaged."""
    bomb = zeros(tgz, 400 * 10**6).read_bytes()
    tgz.write_bytes(bomb[: len(bomb) // 2] + b"?" * 1000)
    with pytest.raises(Corrupt, match="cannot be read to its end"):
        tarballs.check(tgz)
    with pytest.raises(Corrupt, match="unpacks to far more than its"):
        tarballs.extract(tgz, tmp_path / "products", Limits(total_bytes=100 * 10**6))
    assert not (tmp_path / "products").exists()


def test_a_truncated_archive_is_found_wherever_it_ends(tgz: Path) -> None:
    whole = pack(tgz, *WHOLE, member("noise", os.urandom(20_000))).read_bytes()
    for length in [*range(0, len(whole), 301), len(whole) - 1]:
        tgz.write_bytes(whole[:length])
        with pytest.raises(Corrupt, match=NAME):
            tarballs.check(tgz)


def test_a_flipped_bit_is_found_wherever_it_changes_the_content(tgz: Path) -> None:
    """A few bits of a deflated stream only say the same in another way: a copy of zeros from one place or another."""
    whole = pack(tgz, *WHOLE, member("noise", os.urandom(20_000))).read_bytes()
    harmless = 0
    for place in range(100, len(whole), 301):  # behind the header of gzip, which holds a time and a name
        damaged = whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :]
        tgz.write_bytes(damaged)
        if same_content(damaged, whole):
            harmless += 1
            continue
        with pytest.raises(Corrupt, match=NAME):
            tarballs.check(tgz)
    assert harmless < 5


def same_content(one: bytes, other: bytes) -> bool:
    """Whether two gzipped streams unpack to the same bytes."""
    try:
        return gzip.decompress(one) == gzip.decompress(other)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return False


def test_damage_before_packing_is_found_too(tgz: Path) -> None:
    """A tar that ends, or turns to rubbish, between two members; gzip is content with it."""
    tar = gzip.decompress(pack(tgz, *WHOLE).read_bytes())
    second = tar.index(b"flux.csv")
    tgz.write_bytes(gzip.compress(tar[:second] + b"?" * 512 + tar[second + 512 :]))
    with pytest.raises(Corrupt, match="goes on after its end"):
        tarballs.check(tgz)
    tgz.write_bytes(gzip.compress(tar[: second - 1500]))
    with pytest.raises(Corrupt, match="cannot be read to its end"):
        tarballs.check(tgz)


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"\x1f\x8b\x08", gzip.compress(b"no tar" * 200, mtime=0)],
    ids=["empty", "text", "three bytes of gzip", "gzip without tar"],
)
def test_what_is_no_archive(tgz: Path, content: bytes) -> None:
    tgz.write_bytes(content)
    with pytest.raises(Corrupt, match=NAME):
        tarballs.check(tgz)


def test_an_archive_that_is_not_there(tgz: Path) -> None:
    with pytest.raises(Corrupt, match=NAME):
        tarballs.check(tgz)


def test_a_full_disk_is_no_fault_of_the_archive(tgz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    pack(tgz, *WHOLE)
    monkeypatch.setattr(tarfile, "copyfileobj", full)
    with pytest.raises(NotAvailable, match="disk is full"):
        tarballs.extract(tgz, tmp_path / "products")


def test_what_is_unpacked_again_leaves_what_is_linked_to_it(tgz: Path, tmp_path: Path) -> None:
    """As a delivery is: one that stands must not change under its checksums."""
    pack(tgz, member("flux.csv", b"old"))
    tarballs.extract(tgz, tmp_path / "products")
    delivered = tmp_path / "flux.csv"
    delivered.hardlink_to(tmp_path / "products" / "flux.csv")
    pack(tgz, member("flux.csv", b"new"))
    tarballs.extract(tgz, tmp_path / "products")
    assert ((tmp_path / "products" / "flux.csv").read_bytes(), delivered.read_bytes()) == (b"new", b"old")
