"""Raw execution blocks: exported by a command of the observatory, checked, or not there."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from alma_restore.archive import asdm as asdm_module
from alma_restore.archive.asdm import AsdmExporter
from alma_restore.errors import Corrupt, Misconfigured, NotAvailable
from alma_restore.settings import ExporterSettings
from alma_restore.uid import Uid

EB = Uid("uid://A002/Xd248b5/Xa7a")
STAND_IN = (sys.executable, "-m", "alma_restore.demo.asdm_export_light")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded archive with one ASDM."""
    from observation import Identity
    from synthetic_sky import Sizes, write_synthetic_asdm

    archive = tmp_path_factory.mktemp("archive")
    identity = Identity(str(EB), "uid://A001/X133d/X1ab2", "uid://A001/X133c/Xf", "uid://A001/X133d/X1ab4")
    (archive / "asdm").mkdir()
    sizes = Sizes(antennas=5, windows=1, channels=8)
    write_synthetic_asdm(archive / "asdm" / EB.sanitised, identity, "2019-07-01T04:30:00", sizes, seed=1)
    return archive


class Place:
    """A workspace's rawdata/ with an exporter into it; `command` is a script of the test's own, given in bash."""

    def __init__(self, folder: Path, archive: Path) -> None:
        self.folder = folder
        self.rawdata = folder / "rawdata"
        self.log = folder / "Logs" / "export.log"
        self.source = archive / "asdm" / EB.sanitised
        self.progress: list[tuple[int, int]] = []

    def export(self, script: str = "", **settings: object) -> Path:
        if script:
            command = self.folder / "export command"
            command.write_text(f"#!/bin/bash\nset -e\n{script}\n")
            command.chmod(0o755)
            settings.setdefault("command", (str(command),))
        given = {"command": STAND_IN, "tries": 2, "retry_wait_s": 0.0, "timeout_s": 60.0, **settings}
        exporter = AsdmExporter(ExporterSettings(**given), self.folder / "locks")
        return exporter.export(EB, self.rawdata, self.log, lambda *counts: self.progress.append(counts))

    def is_whole(self) -> bool:
        """Exactly the archive's ASDM is there, and nothing else."""
        return list(self.rawdata.iterdir()) == [self.rawdata / EB.sanitised] and contents(
            self.rawdata / EB.sanitised
        ) == contents(self.source)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def place(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("ALMA_EMBEDDED_ARCHIVE", str(archive))
    monkeypatch.setenv("SOURCE", str(archive / "asdm" / EB.sanitised))
    monkeypatch.setattr(asdm_module, "_LOOK_S", 0.05)
    return Place(tmp_path, archive)


def test_an_execution_block_is_exported(place: Place) -> None:
    assert place.export() == place.rawdata / EB.sanitised
    assert place.is_whole()
    assert f"exporting {EB}" in place.log.read_text()


def test_a_whole_folder_is_not_exported_again(place: Place) -> None:
    place.export()
    assert place.export("exit 1") == place.rawdata / EB.sanitised


def test_a_folder_that_exists_is_judged_by_its_content(place: Place) -> None:
    place.export()
    (place.rawdata / EB.sanitised / "Main.xml").unlink()
    place.export()
    assert place.is_whole()


def test_the_uid_is_the_last_argument_and_the_rest_is_as_configured(place: Place) -> None:
    place.export('printf "<%s>" "$@"; cp -r "$SOURCE" .')
    assert place.log.read_text() == f"<{EB}>"


def test_progress_is_bytes_and_files(place: Place) -> None:
    place.export('cp -r "$SOURCE" .; sleep 0.3')
    files = contents(place.source)
    assert place.progress[-1] == (sum(map(len, files.values())), len(files))


def test_a_passing_failure_is_tried_again(place: Place) -> None:
    place.export('[ -e ../../tried ] || { touch ../../tried; echo "ORA-12170: timeout"; exit 1; }; cp -r "$SOURCE" .')
    assert place.is_whole()
    assert "ORA-12170" in place.log.read_text()


def test_damage_is_exported_again(place: Place) -> None:
    place.export('cp -r "$SOURCE" .; [ -e ../../tried ] || { touch ../../tried; rm */ASDMBinary/*a7d; }')
    assert place.is_whole()


def test_lasting_damage_is_told_by_name_and_leaves_nothing(place: Place) -> None:
    with pytest.raises(Corrupt, match="BDF uid___A002_Xd248b5_Xa7d of scan 3 is missing"):
        place.export('cp -r "$SOURCE" .; rm */ASDMBinary/*a7d')
    assert not list(place.rawdata.iterdir())


@pytest.mark.parametrize(
    ("half", "damage"),
    [
        ('mkdir "$NAME"; cp "$SOURCE"/*.xml "$NAME"', "BDF .* of scan 1 is missing"),
        ('mkdir "$NAME"', r"ASDM\.xml"),
        ('cp -r "$SOURCE" .; truncate -s 100 */ASDMBinary/*a7d', "BDF uid___A002_Xd248b5_Xa7d has 100 bytes"),
    ],
    ids=["tables alone", "an empty folder", "half a binary"],
)
def test_an_export_that_breaks_off_is_no_damage_of_the_archive(
    place: Place, monkeypatch: pytest.MonkeyPatch, half: str, damage: str
) -> None:
    monkeypatch.setenv("NAME", EB.sanitised)
    with pytest.raises(NotAvailable, match=rf"exit code 1\) .*{damage}.*: NGAS: connection lost\. ") as caught:
        place.export(f'{half}; echo "NGAS: connection lost."; exit 1')
    assert caught.value.log_tail.endswith("NGAS: connection lost.")
    assert not list(place.rawdata.iterdir())
    place.export(f'[ -e ../../tried ] || {{ touch ../../tried; {half}; exit 1; }}; cp -r "$SOURCE" .')
    assert place.is_whole()


def test_a_lasting_failure_tells_what_the_command_said(place: Place) -> None:
    with pytest.raises(NotAvailable, match=r"exit code 3\): no such ASDM") as caught:
        place.export("echo one; echo no such ASDM; exit 3")
    assert caught.value.log_tail.endswith("no such ASDM")
    assert not list(place.rawdata.iterdir())


def test_an_execution_block_that_the_archive_does_not_have(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMA_EMBEDDED_ARCHIVE", str(place.folder))
    with pytest.raises(NotAvailable, match="no such ASDM in the archive"):
        place.export()


def test_the_folder_counts_and_not_the_exit_code(place: Place) -> None:
    with pytest.raises(NotAvailable, match=r"left no ASDM \(exit code 0\)"):
        place.export("exit 0")
    place.export('cp -r "$SOURCE" .; exit 7')
    assert place.is_whole()


def test_another_execution_block_under_the_right_name_is_not_taken(place: Place) -> None:
    with pytest.raises(Corrupt, match=f"export of {EB} holds uid://A002/Xd248b5/Xa7c"):
        place.export(
            f'cp -r "$SOURCE" .; sed -i "s|<Entity entityId=.{EB}.|<Entity entityId=\\"{EB[:-1]}c\\"|" */ASDM.xml'
        )


# --- time-out and process group --------------------------------------------------------------------------------------


def alive(pid_file: Path) -> bool:
    pid = int(pid_file.read_text())
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def wait_until_gone(pid_file: Path) -> bool:
    deadline = time.monotonic() + 10
    while alive(pid_file) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid_file)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asdm_module, "_GRACE_S", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("deaf", ["", "trap '' TERM;"])
def test_a_time_out_ends_the_command_and_everything_it_started(place: Place, deaf: str) -> None:
    started = time.monotonic()
    with pytest.raises(NotAvailable, match=r"was stopped after 0\.5 s"):
        place.export(
            f"{deaf} sleep 300 & echo $! > ../../pid; echo working; sleep 300; sleep 300", timeout_s=0.5, tries=1
        )
    assert time.monotonic() - started < 5
    assert wait_until_gone(place.folder / "pid")
    assert not list(place.rawdata.iterdir())
    assert place.log.read_text() == "working\n"


def test_what_the_command_leaves_behind_is_ended_too(place: Place) -> None:
    place.export('cp -r "$SOURCE" .; sleep 300 >/dev/null & echo $! > ../../pid')
    assert wait_until_gone(place.folder / "pid")


@pytest.mark.usefixtures("impatient")
def test_a_cancelled_export_leaves_no_process(place: Place) -> None:
    class Cancelled(BaseException):
        """What Airflow raises in a task that it stops."""

    def stop(*_: int) -> None:
        if (place.folder / "pid").exists():
            raise Cancelled

    exporter = AsdmExporter(ExporterSettings(command=("bash", "-c", "echo $$ > ../../pid; sleep 300")), place.folder)
    with pytest.raises(Cancelled):
        exporter.export(EB, place.rawdata, place.log, stop)
    assert wait_until_gone(place.folder / "pid")
    assert not list(place.rawdata.iterdir())


KILLED = """
import signal, sys
from pathlib import Path
from alma_restore.archive.asdm import AsdmExporter
from alma_restore.settings import ExporterSettings
from alma_restore.uid import Uid

signal.signal(signal.SIGTERM, lambda *_: None)  # Airflow calls on_kill, and raises nothing
into, command = Path(sys.argv[1]), ("bash", "-c", "sleep 300 & echo $! > ../../pid; wait")
AsdmExporter(ExporterSettings(command=command), into.parent).export(Uid(sys.argv[2]), into, into.parent / "log")
"""


def test_a_killed_task_leaves_no_export_and_the_next_try_has_the_folder_for_itself(place: Place) -> None:
    """As Airflow stops a task: SIGTERM, and five seconds later SIGKILL."""
    killed = subprocess.Popen([sys.executable, "-c", KILLED, str(place.rawdata), str(EB)])
    while not (place.folder / "pid").exists():
        assert killed.poll() is None
        time.sleep(0.05)
    killed.terminate()
    time.sleep(0.2)
    killed.kill()
    killed.wait()
    place.export('[ ! -e foreign ] && cp -r "$SOURCE" .', tries=20, retry_wait_s=0.1)
    assert place.is_whole()
    assert wait_until_gone(place.folder / "pid")


# --- the set-up script -----------------------------------------------------------------------------------------------


def test_the_set_up_script_is_sourced_before_the_command(place: Place) -> None:
    setup = place.folder / "set up's.sh"
    setup.write_text('export ACS_ROOT="it\'s set"; set -- other arguments; cd /; cd - >/dev/null; false\n')
    place.export('echo "$ACS_ROOT, $#: $1"; cp -r "$SOURCE" .', setup_script=str(setup))
    assert place.is_whole()
    assert place.log.read_text() == f"it's set, 1: {EB}\n"


@pytest.mark.parametrize("hostile", ["$(touch hacked)", "; touch hacked", "`touch hacked`", 'it\'s "quoted"'])
def test_nothing_configured_becomes_part_of_a_shell_text(place: Place, hostile: str) -> None:
    setup = place.folder / hostile.replace("/", "")
    setup.write_text("echo sourced\n")
    with pytest.raises(NotAvailable):
        place.export(setup_script=str(setup), command=("echo", hostile), tries=1)
    assert place.log.read_text() == f"sourced\n{hostile} {EB}\n"
    assert not list(place.folder.rglob("hacked"))


def test_a_set_up_script_that_is_not_there(place: Place) -> None:
    with pytest.raises(Misconfigured, match=r"set-up script .* is not there"):
        place.export(setup_script=str(place.folder / "nowhere.sh"))


@pytest.mark.parametrize("with_setup", [False, True])
def test_a_command_that_is_not_there(place: Place, with_setup: bool) -> None:
    (place.folder / "setup.sh").write_text("")
    setup = str(place.folder / "setup.sh") if with_setup else ""
    with pytest.raises(Misconfigured, match=r"export command .*cannot be"):
        place.export(command=("no-such-command-anywhere",), setup_script=setup)


def test_a_folder_that_cannot_be_written(place: Place) -> None:
    place.rawdata.write_text("no folder")
    with pytest.raises(Misconfigured, match="cannot be written"):
        place.export()


# --- side by side ----------------------------------------------------------------------------------------------------


def test_the_remains_of_a_killed_export_are_cleared_away(place: Place) -> None:
    remains = place.rawdata / f".{EB.sanitised}.export" / EB.sanitised
    shutil.copytree(place.source, remains)
    (remains / "Main.xml").write_text("old")
    place.export()
    assert place.is_whole()


def test_no_folder_is_removed_while_a_file_in_it_is_open(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS keeps an open file under another name: the folder is not empty then, and the whole export fails."""

    def remove(folder: Path) -> None:
        files = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        opened.extend(file for file in files if folder in file.parents)
        removed.append(folder)
        rmtree(folder)

    opened: list[Path] = []
    removed: list[Path] = []
    rmtree = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", remove)
    place.export()
    (place.rawdata / EB.sanitised / "Main.xml").unlink()
    place.export()
    assert len(set(removed)) == 2
    assert opened == []
    assert place.is_whole()


def test_two_exports_of_one_block_into_one_place_do_not_meet(place: Place) -> None:
    second: list[BaseException] = []

    def again(*_: int) -> None:
        if not second:
            with pytest.raises(NotAvailable, match="Another process is exporting") as caught:
                AsdmExporter(ExporterSettings(tries=1), place.folder / "locks").export(EB, place.rawdata, place.log)
            second.append(caught.value)

    slow = ExporterSettings(command=("bash", "-c", 'cp -r "$SOURCE" .; sleep 0.3'))
    AsdmExporter(slow, place.folder / "locks").export(EB, place.rawdata, place.log, again)
    assert second
    assert place.is_whole()
