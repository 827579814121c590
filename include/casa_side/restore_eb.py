"""Restore one execution block: raw ASDM and calibration products to one calibrated MeasurementSet.

Run by eb_processes.py in working/, one fresh process each; the job comes as JSON on stdin, the steps go to stdout.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asdm_rows
import calapply_reader
import casa_log
import tar_products
from intents import casa_intents
from ms_reader import column, opened
from signs import RestoreFailed, corrupt, refused

_TASKS = ("importasdm", "flagmanager", "applycal", "mstransform")

# Written into the MS by the pipeline's import, and read there by its later stages; the last two are in what it splits
# off as well.
_COPIED_TABLES = ("Source.xml", "SpectralWindow.xml", "DataDescription.xml")

_NOTHING_SELECTED = re.compile(r"No match found|NullSelection")


class EbRestore:
    """The steps of one restore, in the order of `hifa_restoredata`.

    Args:
        job: the fields of `plan.EbJob`.

    Source: DOMAIN sections 11 and 12.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self._asdm = Path(job["asdm"])
        self._flagversions = Path(job["flagversions"])
        self._calls = calapply_reader.read(Path(job["calapply"]))
        self._import_options = job["import_options"]
        self._parang = job["parang"]
        self._split_options = job["split"]
        self.eb = self._asdm.name
        self.ms = f"{self.eb}.ms"
        self.log = Path(f"casa-{self.eb}.log").absolute()
        self._commands = Path(f"casa_commands-{self.eb}.log")

    def run(self) -> None:
        with _step("start of CASA"):
            self._start_casa()
        with _step("importasdm"):
            self._import()
        with _step("row count"):
            rows = self._count_rows()
        _say(f"{rows} rows, as {self.eb} says")
        with _step("flags"):
            self._restore_flags()
        for number, call in enumerate(self._calls, start=1):
            with _step(f"applycal {number}/{len(self._calls)} {call.field} {','.join(call.intents)}"):
                self._apply(call)
        if self._split_options is not None:
            with _step("mstransform"):
                self._split(self._split_options)

    def _start_casa(self) -> None:
        """CASA reads its log file's name once, at import."""
        from casaconfig import config

        config.logfile = str(self.log)
        import lean_casatasks

        self._tasks = {name: getattr(lean_casatasks.casatasks, name) for name in _TASKS}

    def _call(self, task: str, **arguments: Any) -> None:
        """Call a CASA task, noting the call in casa_commands.log as the pipeline does."""
        with self._commands.open("a") as commands:
            commands.write(f"{task}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})\n")
        self._tasks[task](**arguments)

    def _import(self) -> None:
        """No flag version of the imported state is kept: the archived flags replace it at once."""
        self._call(
            "importasdm",
            asdm=str(self._asdm),
            vis=self.ms,
            **self._import_options,
            process_caldevice=False,
            with_pointing_correction=False,
            savecmds=False,
            flagbackup=False,
            overwrite=False,
            verbose=True,
        )
        self._copy_tables_to(self.ms, _COPIED_TABLES)

    def _copy_tables_to(self, ms: str, names: Iterable[str]) -> None:
        for name in names:
            if (self._asdm / name).exists():
                shutil.copyfile(self._asdm / name, Path(ms) / name)

    def _count_rows(self) -> int:
        """Hold the import against Main.xml: importasdm drops what it cannot read without a word."""
        found = self._rows_by_scan()
        lost = [
            f"scan {scan} gave {found[scan]} of {rows.rows} rows (binary files {', '.join(rows.binaries)})"
            for scan, rows in sorted(asdm_rows.expected_rows(self._asdm).items())
            if not rows.agrees(found[scan])
        ]
        damage = [*lost[:1], *filter(None, [casa_log.damage(self.log)])]
        if damage:
            raise corrupt(self.eb, f"The raw data of {self.eb} are damaged: {'; '.join(damage)}. Fetch them again.")
        return sum(found.values())

    def _rows_by_scan(self) -> Counter[int]:
        with opened(self.ms) as main:
            return Counter(main.getcol("SCAN_NUMBER").tolist())

    def _restore_flags(self) -> None:
        shutil.rmtree(f"{self.ms}.flagversions", ignore_errors=True)
        tar_products.unpack(self._flagversions, Path())
        if not Path(f"{self.ms}.flagversions", "flags.Pipeline_Final").is_dir():
            raise corrupt(self.eb, f"{self._flagversions.name} holds no flags.Pipeline_Final of {self.ms}.")
        try:
            self._call("flagmanager", vis=self.ms, mode="restore", versionname="Pipeline_Final")
        except RuntimeError as error:
            message = f"The flags in {self._flagversions.name} cannot be restored: {_root_cause(error)}."
            raise corrupt(self.eb, message) from error

    def _apply(self, call: calapply_reader.ApplyCall) -> None:
        intent = casa_intents(call.intents, column(f"{self.ms}/STATE", "OBS_MODE"))
        if not intent:
            _say(f"{self.ms} has no data of {','.join(call.intents)}: left out")
            return
        try:
            self._call(
                "applycal",
                vis=self.ms,
                field=call.field,
                spw=call.spw,
                intent=intent,
                antenna="*&*",
                gaintable=list(call.tables),
                gainfield=list(call.gainfield),
                spwmap=list(call.spwmap),
                interp=list(call.interp),
                calwt=list(call.calwt),
                parang=self._parang,
                applymode="calflagstrict",
                flagbackup=False,
            )
        except RuntimeError:
            for table in call.tables:  # applycal does not say which table it could not use
                _check_readable(table)
            raise

    def _split(self, options: dict[str, str]) -> None:
        """Split calibrated data off into `<eb>_targets.ms`, as `hif_mstransform` does; by default all science targets.

        The windows are those that calibration was applied to: science windows, no WVR and no channel averages.
        """
        words = (options.get("intent") or "TARGET").split(",")
        intent = casa_intents(words, column(f"{self.ms}/STATE", "OBS_MODE"))
        if not intent:
            raise refused(self.eb, f"{self.eb} has no data of {','.join(words)} that could be split off.")
        windows = dict.fromkeys(call.spw for call in self._calls if not call.intents or {*words} & {*call.intents})
        chanbin, timebin = int(options.get("chanbin") or 1), options.get("timebin") or "0s"
        split = f"{self.eb}_targets.ms"
        try:
            self._call(
                "mstransform",
                vis=self.ms,
                outputvis=split,
                datacolumn="corrected",
                field=options.get("field", ""),
                intent=intent,
                spw=options.get("spw") or ",".join(windows),
                chanaverage=chanbin > 1,
                chanbin=chanbin,
                timeaverage=float(timebin.removesuffix("s")) > 0,
                timebin=timebin,
                reindex=False,
            )
        except RuntimeError as error:
            cause = _root_cause(error)
            if _NOTHING_SELECTED.search(cause):
                raise refused(self.eb, f"{self.eb} has no such data to be split off: {cause}.") from error
            raise
        self._copy_tables_to(split, _COPIED_TABLES[1:])


def _check_readable(caltable: str) -> None:
    try:
        with opened(caltable) as one:
            one.getcol("CPARAM" if "CPARAM" in one.colnames() else "FPARAM")
    except RuntimeError as error:
        raise corrupt(caltable, f"The calibration table {caltable} is damaged: {_root_cause(error)}.") from error


@contextmanager
def _step(name: str) -> Iterator[None]:
    """Tell that a step begins (`> name`, for our parent) and how long it took (for people)."""
    _say(f"> {name}")
    started = time.monotonic()
    yield
    _say(f"{name} {time.monotonic() - started:.1f} s")


def _say(line: str) -> None:
    print(line, flush=True)


def _root_cause(error: BaseException) -> str:
    """What CASA's C++ said before its tasks wrapped it."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return str(error).removeprefix("Exception Reported: ").rstrip(".")


def _tell_failure(error: BaseException, log: Path) -> None:
    """One line for our parent; the traceback to the log, for those who look."""
    _say(error.line() if isinstance(error, RestoreFailed) else f"! {_root_cause(error)}")
    with log.open("a") as casa_log_file:
        traceback.print_exception(error, file=casa_log_file)


def main() -> None:
    restore = EbRestore(json.load(sys.stdin))
    sys.excepthook = lambda _, error, __: _tell_failure(error, restore.log)
    restore.run()


if __name__ == "__main__":
    main()
