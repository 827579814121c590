"""CAPO profiles: Java's `.properties` files, read as Java reads them, fill our settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from alma_restore import capo, settings
from alma_restore.errors import Misconfigured


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = value", {"name": "value"}),
        ("name=value", {"name": "value"}),
        ("name:value", {"name": "value"}),
        ("name value of words", {"name": "value of words"}),
        ("   name   =   value   ", {"name": "value   "}),
        ("name", {"name": ""}),
        ("name =", {"name": ""}),
        ("# name = value\n! other = value\n  # third = 3", {}),
        ("name = a # no comment", {"name": "a # no comment"}),
        ("\n\n  \nname = value\r\nother = 2\rthird = 3", {"name": "value", "other": "2", "third": "3"}),
        ("name = one, \\\n       two, \\\n       three", {"name": "one, two, three"}),
        ("name = one\\\n# not a comment", {"name": "one# not a comment"}),
        ("path = C:\\\\temp\\\\\nother = 2", {"path": "C:\\temp\\", "other": "2"}),
        ("name = ends \\", {"name": "ends "}),
        (
            "with\\ blank = 1\nwith\\=sign = 2\nwith\\:colon: 3",
            {"with blank": "1", "with=sign": "2", "with:colon": "3"},
        ),
        ("name = a\\tb\\nc\\u00e9\\q", {"name": "a\tb\ncéq"}),
        ("name = first\nname = last", {"name": "last"}),
        ("url = jdbc:oracle:thin:@//host:1521/x?a=b", {"url": "jdbc:oracle:thin:@//host:1521/x?a=b"}),
        ("= no name", {"": "no name"}),
    ],
)
def test_properties_are_read_as_java_reads_them(text, expected):
    assert capo.read_properties(text) == expected


@pytest.fixture
def folders(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """Two folders of the path, the later one overriding the earlier one."""
    earlier, later = tmp_path / "earlier", tmp_path / "later"
    earlier.mkdir()
    later.mkdir()
    monkeypatch.setenv("CAPO_PATH", f"{earlier}:{tmp_path}/absent:{later}")
    monkeypatch.setenv("CAPO_PROFILE", "naasc-test")
    return earlier, later


def test_a_profile_fills_the_settings_and_later_files_override_earlier_ones(folders):
    earlier, later = folders
    (earlier / "naasc-test.properties").write_text(
        "almaNgasSystem.host = ngas-1.example.org\nalmaNgasSystem.port = 7777\nalmaRestore.spool = /lustre/spool\n"
        "someOtherSystem.host = elsewhere\n"
    )
    (later / "naasc-test.properties").write_text(
        "almaNgasSystem.port = 8888\nalmaRestore.casa.cores = 6\n"
        'almaRestore.exporter.command = ["/alma/bin/asdmExportLight", "--quiet"]\n'
    )
    loaded = settings.load()
    assert (loaded.ngas.host, loaded.ngas.port) == ("ngas-1.example.org", 8888)
    assert loaded.spool_root == Path("/lustre/spool")
    assert loaded.casa.cores == 6
    assert loaded.exporter.command == ("/alma/bin/asdmExportLight", "--quiet")


def test_our_own_profile_file_and_the_environment_override_capo(folders, tmp_path, monkeypatch):
    (folders[0] / "naasc-test.properties").write_text(
        "almaRestore.casa.cores = 6\nalmaRestore.casa.niceness = 6\nalmaNgasSystem.port = 6666\n"
    )
    own = tmp_path / "own.toml"
    own.write_text("[casa]\ncores = 4\nniceness = 4\n")
    monkeypatch.setenv("ALMA_RESTORE_PROFILE", str(own))
    monkeypatch.setenv("ALMA_RESTORE_CASA__CORES", "2")
    loaded = settings.load()
    assert (loaded.casa.cores, loaded.casa.niceness, loaded.ngas.port) == (2, 4, 6666)


def test_the_folders_have_nraos_defaults(tmp_path, monkeypatch):
    (tmp_path / ".capo").mkdir()
    (tmp_path / ".capo" / "dsoc-test.properties").write_text("a = 1")
    assert capo.profile({"CAPO_PROFILE": "dsoc-test", "HOME": str(tmp_path)}) == {"a": "1"}


def test_without_a_profile_nothing_is_read(monkeypatch):
    monkeypatch.delenv("CAPO_PROFILE", raising=False)
    assert capo.settings_values() == {}


def test_a_profile_that_is_nowhere_is_named_with_the_folders(folders):
    with pytest.raises(Misconfigured, match=r"There is no naasc-test\.properties in .*earlier, .*later"):
        settings.load()


def test_a_profile_is_a_name_and_no_path(monkeypatch):
    with pytest.raises(Misconfigured, match="no name of a CAPO profile"):
        capo.profile({"CAPO_PROFILE": "../secret"})


@pytest.mark.parametrize("line", ["almaRestore.casa.cores = many", "almaRestore.casa.colour = red"])
def test_a_property_that_cannot_be_used_is_named(folders, line):
    (folders[0] / "naasc-test.properties").write_text(line)
    with pytest.raises(Misconfigured, match=r"casa\.(cores|colour)"):
        settings.load()


def test_a_list_is_written_as_json(folders):
    (folders[0] / "naasc-test.properties").write_text("almaRestore.exporter.command = [asdmExportLight]")
    with pytest.raises(Misconfigured, match=r"almaRestore\.exporter\.command is no JSON"):
        settings.load()
