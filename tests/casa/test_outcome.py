"""What the end of a CASA run means: the signs that the ALMA pipeline leaves, replayed (DOMAIN section 12)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from alma_restore.casa import attempts, outcome
from alma_restore.casa.attempts import Attempt
from alma_restore.casa.launchers import slurm
from alma_restore.casa.launchers.base import Handle, JobState
from alma_restore.errors import CasaFailed, Corrupt, Inconsistent, Misconfigured, Refused, RestoreError
from alma_restore.workspace import Workspace

FIRST, SECOND = "uid___A002_Xd248b5_Xa7a", "uid___A002_Xd248b5_Xcc1"
NOISE = """\
2026-11-23 19:01:20\tSEVERE\timportasdm::MeasTable::dUTC(Double)\tLeap second table TAI_UTC seems out-of-date.
2026-11-23 19:01:20\tSEVERE\timportasdm::MeasTable::dUTC(Double)+\tUntil the table is updated (see the CASA docs),
2026-11-23 19:01:20\tSEVERE\timportasdm::MeasTable::dUTC(Double)+\ttimes and coordinates derived from UTC may be wrong.
"""
TRACEBACK = """\
Traceback (most recent call last):
  File "/opt/casa/lib/py/lib/python3.8/site-packages/pipeline/infrastructure/basetask.py", line 640, in execute
    result = self.prepare()
"""
UNHANDLED = "Unhandled error in executeppr while running pipeline task hifa_restoredata\n"


@dataclass(frozen=True)
class Ended:
    """How a run of the pipeline ended: its exit code, its output, where errorexit files lie, which MSs there are."""

    exit_code: int | None
    log: str = ""
    errorexit: tuple[str, ...] = ()
    restored: tuple[str, ...] = (FIRST, SECOND)
    casa_log: str = ""
    note: str = ""
    files: tuple[str, ...] = field(default=())

    def replay(self, workspace: Workspace) -> JobState:
        folder = attempts.folder(workspace, 1)
        folder.mkdir()
        attempts.note(workspace, Attempt(1, "key", Handle("local", "1", str(folder))))
        (folder / "log").write_text(NOISE + self.log)
        (workspace.working / "casa-20260101-000000.log").write_text(NOISE + self.casa_log)
        for place in self.errorexit:
            (workspace.root / place / "errorexit-20260101T000000.txt").touch()
        for eb in self.restored:
            (workspace.working / f"{eb}.ms").mkdir()
            (workspace.working / f"{eb}.ms" / "table.dat").touch()
        return JobState("ended", self.exit_code, self.note)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path).create({})
    names = "".join(f"<AsdmIdentifier><AsdmDiskName>{eb}</AsdmDiskName></AsdmIdentifier>" for eb in (FIRST, SECOND))
    workspace.ppr.write_text(f"<SciPipeRequest><SchedBlockIdentifier>{names}</SchedBlockIdentifier></SciPipeRequest>")
    return workspace


BOTH = ("working", "products")


def failed(reason: str, restored: tuple[str, ...] = ()) -> Ended:
    """As the pipeline ends on an exception in a task."""
    return Ended(1, TRACEBACK + reason + "\n", errorexit=BOTH, restored=restored)


FAILURES: dict[str, tuple[Ended, type[RestoreError], str]] = {
    "caltables missing": (
        failed("FileNotFoundError: [Errno 2] No such file or directory: '/s/products/u.session_1.caltables.tgz'"),
        Corrupt,
        "u.session_1.caltables.tgz is not where",
    ),
    "flagversions truncated": (
        failed("EOFError: Compressed file ended before the end-of-stream marker was reached", (FIRST,)),
        Corrupt,
        "product is damaged: EOFError",
    ),
    "caltables no tar file": (failed("tarfile.ReadError: not a gzip file"), Corrupt, "not a gzip file"),
    "a caltable incomplete": (
        failed("RuntimeError: Table /s/working/uid___A002_X1_X2.ms.hifa_bandpass.s15_4.bcal.tbl does not exist"),
        Corrupt,
        "bcal.tbl is missing or incomplete",
    ),
    "a caltable damaged": (
        failed(
            "SEVERE\tpipeline.infrastructure.callibrary::open::uid___A002_X1_X2.ms.bcal.tbl\tException Reported: "
            "RegularFileIO: error in open or create of file /s/working/uid___A002_X1_X2.ms.bcal.tbl/table.f0i: "
            "No such file or directory"
        ),
        Corrupt,
        "calibration table uid___A002_X1_X2.ms.bcal.tbl is missing",
    ),
    "a binary of the raw data truncated": (
        failed(
            "SEVERE\tagentflagger::\tException Reported: Table conformance error (#rows mismatch)\n"
            f"SEVERE\trestoredata\tApplication of final flags failed for {SECOND}.ms"
        ),
        Corrupt,
        "other rows than its archived flags: its raw data",
    ),
    "archived flags incomplete": (
        failed(f"SEVERE\trestoredata\tApplication of final flags failed for {SECOND}.ms"),
        Corrupt,
        f"flags of {SECOND}.ms cannot be restored",
    ),
    "session not in manifest": (failed("KeyError: 'default'"), Inconsistent, "session of the PPR"),
    "execution block not in manifest": (failed(f"KeyError: '{SECOND}.ms'"), Inconsistent, f"{SECOND} is not in the"),
    "no manifest": (
        failed("AttributeError: 'NoneType' object has no attribute 'get_ous'"),
        Corrupt,
        "found no manifest",
    ),
    "unknown command": (failed(UNHANDLED.replace("hifa_restoredata", "hifa_foo")), CasaFailed, "task hifa_foo failed"),
    "unknown parameter": (
        failed(UNHANDLED + "TypeError: got an unexpected keyword argument 'speed'"),
        Misconfigured,
        "does not know the PPR's parameter speed",
    ),
    "a field to be split off that is not there": (
        failed(
            "2026-01-01\tSEVERE\tmstransform::::casa\tTask mstransform raised an exception of class RuntimeError "
            'with the following message: Field Expression: No match found for name "Nobody"\n'
            + UNHANDLED.replace("hifa_restoredata", "hif_mstransform").rstrip()
        ),
        Refused,
        'no such data to be split off: Field Expression: No match found for name "Nobody"',
    ),
    "one ASDM absent, exit code 0": (
        Ended(0, f"ERROR: Error processing {SECOND}\n", restored=(FIRST,)),
        Corrupt,
        f"left out {SECOND}",
    ),
    "one MS missing without a word": (Ended(0, restored=(FIRST,)), CasaFailed, f"without {SECOND}.ms"),
    "empty ASDM list, exit code 0": (
        Ended(0, "    Empty ASDM list\n", errorexit=("working",), restored=()),
        CasaFailed,
        "lists no execution block",
    ),
    "empty commands, exit code 0": (
        Ended(0, "    Empty commands list\n", errorexit=("working",), restored=()),
        CasaFailed,
        "lists no command",
    ),
    "PPR not well-formed, exit code 0": (
        Ended(0, "xml.parsers.expat.ExpatError: no element found\n", errorexit=("working",), restored=()),
        CasaFailed,
        "not well-formed: no element found",
    ),
    "errorexit file and nothing else": (Ended(0, errorexit=("products",)), CasaFailed, "products/errorexit-2026"),
    "wrong RelativePath": (
        Ended(
            1,
            f"ERROR: Error processing {FIRST}\nOSError: Input data set '/s/x/rawdata/{FIRST}' not found\n"
            "FileNotFoundError: [Errno 2] No such file or directory: '/s/x/working/errorexit-20260101T000000.txt'\n",
            restored=(),
        ),
        Misconfigured,
        "RelativePath is wrong: the pipeline finds no /s/x/working",
    ),
    "a reason that nobody knows": (Ended(1, TRACEBACK), CasaFailed, "exit code 1 and gives no reason"),
    "a pipeline without all it needs": (
        Ended(1, TRACEBACK + "ModuleNotFoundError: No module named 'ps_mem'\n", restored=()),
        Misconfigured,
        "Python module ps_mem is not installed",
    ),
    "damaged ExecBlock.xml": (
        Ended(139, casa_log="\tINFO\timportasdm::::casa\t##### Begin Task: importasdm         #####\n", restored=()),
        Corrupt,
        "SIGSEGV.* importasdm: the raw data",
    ),
    "crash in applycal": (
        Ended(
            139,
            casa_log="##### Begin Task: importasdm  #####\n##### End Task: importasdm  #####\n"
            "##### Begin Task: applycal  #####\n",
        ),
        CasaFailed,
        "crashed .SIGSEGV",
    ),
    "killed": (Ended(137), CasaFailed, "SIGKILL.*memory"),
    "gone without an exit code": (Ended(None, note="its process is gone"), CasaFailed, "its process is gone"),
    "renormalisation not applied, exit code 0": (
        Ended(
            0,
            f"2026-01-01\tSEVERE\trestoredata::::casa\tFailed application of renormalization for {SECOND}.ms "
            "{'apply': 'True', 'threshold': '1.02'}\n",
        ),
        CasaFailed,
        f"renormalisation .* could not be repeated: Failed application of renormalization for {SECOND}.ms\\. ",
    ),
    "renormalisation broken, exit code 0": (
        Ended(
            0,
            casa_log="2026-01-01\tSEVERE\trestoredata::::casa\tFailure in running renormalization heuristic: "
            f"Table {SECOND}.ms.tsys.tbl does not exist\n",
        ),
        CasaFailed,
        "renormalisation .* could not be repeated: Failure in running renormalization heuristic: Table .* not exist",
    ),
    "our own engine's line": (
        Ended(1, f"FAILED corrupt {SECOND}: The raw data of {SECOND} are damaged.\n", errorexit=BOTH, restored=()),
        Corrupt,
        f"raw data of {SECOND} are damaged",
    ),
    "our own engine cannot": (
        Ended(1, "FAILED refused hifa_foo: Not with this engine.\n", errorexit=BOTH, restored=()),
        Refused,
        "Not with this engine",
    ),
}


@pytest.mark.parametrize("what", FAILURES)
def test_every_sign_of_failure_is_a_failure_with_its_reason(what: str, workspace: Workspace) -> None:
    ended, error, sentence = FAILURES[what]
    state = ended.replay(workspace)
    with pytest.raises(error, match=sentence) as caught:
        outcome.judge(workspace, state)
    assert type(caught.value) is error
    assert caught.value.log_tail == ended.log.rstrip()


@pytest.mark.parametrize(
    ("note", "remedy"),
    [
        ("it used 65.20 GB of memory, its limit is 64.00 GB", "Raise casa.memory_bytes"),
        (f"{slurm._CUT_SHORT['OUT_OF_MEMORY']} (Slurm's job 812: OUT_OF_MEMORY, node07)", "Raise casa.memory_bytes"),
        (f"{slurm._CUT_SHORT['TIMEOUT']} (Slurm's job 812: TIMEOUT, bigmemory07)", "Raise casa.time_limit_s"),
        (f"{slurm._CUT_SHORT['NODE_FAIL']} (Slurm's job 812: NODE_FAIL, bigmemory07)", "Run it again."),
        ("its process is gone", "Run it again."),
    ],
)
def test_the_remedy_for_a_job_that_was_cut_short_fits_the_reason(note: str, remedy: str, workspace: Workspace) -> None:
    with pytest.raises(CasaFailed) as caught:
        outcome.judge(workspace, Ended(None, note=note).replay(workspace))
    assert caught.value.remedy.startswith(remedy)


def ask_for_split(workspace: Workspace) -> None:
    ppr = workspace.ppr.read_text()
    workspace.ppr.write_text(ppr.replace("</SciPipeRequest>", "<Command>hif_mstransform</Command></SciPipeRequest>"))


@pytest.mark.parametrize("suffix", ["_targets", "_target", "_cont"])
def test_what_was_split_off_has_one_name_whichever_pipeline_made_it(suffix: str, workspace: Workspace) -> None:
    ask_for_split(workspace)
    state = Ended(0, restored=(FIRST, SECOND, f"{FIRST}{suffix}", f"{SECOND}{suffix}")).replay(workspace)
    for _ in range(2):  # a task that lost its worker judges again
        outcome.judge(workspace, state)
        made = {f"{eb}{suffix}.ms" for eb in (FIRST, SECOND) for suffix in ("", "_targets")}
        assert {path.name for path in workspace.working.glob("*.ms")} == made


def test_what_is_to_be_split_off_has_to_be_there(workspace: Workspace) -> None:
    ask_for_split(workspace)
    state = Ended(0, restored=(FIRST, SECOND, f"{FIRST}_targets")).replay(workspace)
    with pytest.raises(CasaFailed, match=f"without {SECOND}_targets.ms"):
        outcome.judge(workspace, state)


def test_a_good_run_passes_whatever_noise_it_makes(workspace: Workspace) -> None:
    warnings = "2026-01-01\tSEVERE\tapplycal\tsomething.tbl not found in cache\nWARNING: No DISPLAY\n"
    state = Ended(0, "restored\n" + warnings, casa_log=warnings).replay(workspace)
    outcome.judge(workspace, state)


def test_a_renormalisation_that_was_not_to_be_applied_is_not_missed(workspace: Workspace) -> None:
    line = f"Failed application of renormalization for {SECOND}.ms {{'threshold': '1.02', 'apply': 'False'}}\n"
    outcome.judge(workspace, Ended(0, line).replay(workspace))


def test_the_log_tail_is_the_end_of_what_was_said_without_noise(workspace: Workspace) -> None:
    lines = [f"line {number}" for number in range(100)]
    Ended(0, "\n\n".join(lines) + "\n" + NOISE).replay(workspace)
    assert outcome.log_tail(workspace).splitlines() == lines[-30:]
    assert outcome.log_tail(workspace, lines=2) == "line 98\nline 99"


@pytest.mark.parametrize(
    "line",
    [
        "EOFError: Compressed file ended before",
        "tarfile.ReadError: empty file",
        "zlib.error: Error -3 while decompressing data",
        "gzip.BadGzipFile: Not a gzipped file",
    ],
)
def test_each_way_in_which_an_archive_can_be_damaged_is_seen(workspace: Workspace, line: str) -> None:
    with pytest.raises(Corrupt, match="product is damaged"):
        outcome.judge(workspace, failed(line).replay(workspace))


LINE = "2026-01-01 12:00:00\tINFO\tapplycal::::casa\tApplying calibration tables for uid___A002_X1_X2.ms spw 17\n"


@pytest.mark.parametrize(
    "log",
    [LINE * (10_000_000 // len(LINE)), "." * 50_000, "." * 50_000 + " not found"],
    ids=["10 MB", "a long word", "a long word not found"],
)
def test_a_long_log_is_judged_soon(workspace: Workspace, log: str) -> None:
    state = Ended(0, log).replay(workspace)
    began = time.process_time()
    outcome.judge(workspace, state)
    assert time.process_time() - began < 2
