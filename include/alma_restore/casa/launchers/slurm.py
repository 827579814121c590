"""CASA on a Slurm cluster, by Slurm's own commands: run here, or over ssh on a host of the cluster."""

from __future__ import annotations

import hashlib
import math
import re
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from alma_restore.casa.launchers.base import Handle, Job, JobState, exit_code, order_to_stop
from alma_restore.casa.launchers.command_line import CommandLine, words
from alma_restore.errors import Misconfigured, NotAvailable
from alma_restore.settings import SlurmSettings

_JOB_SCRIPT = Path(__file__).with_name("slurm_job.sh")
_FIELDS = "%i|%T|%r|%N|%j"  # id, state, reason, nodes, name
_WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
_PAUSED = {"SUSPENDED", "STOPPED"}
_RUNNING = {"RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT"}
_TO_ITS_END = {"COMPLETED", "FAILED"}
_CUT_SHORT = {
    "BOOT_FAIL": "its node did not start",
    "CANCELLED": "it was cancelled",
    "DEADLINE": "it missed its deadline",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "it used more memory than it was given",
    "PREEMPTED": "it had to make way for another job",
    "REVOKED": "another cluster took it",
    "TIMEOUT": "it exceeded its time limit",
}
_NOT_NOW = (
    "Job violates accounting/QOS policy (job submit limit",  # as many jobs as the account may have
    "Required partition not available (inactive or drain)",
    "Slurm temporarily unable to accept job",
    "Socket timed out on send/recv operation",
    "Unable to contact slurm controller",
)
"""How sbatch says that it may take a job later; it has one exit code for everything."""
_CANCEL_WITHIN_S = 60.0  # Slurm's own grace between SIGTERM and SIGKILL is 30 s
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class _Entry:
    """A job as the queue shows it."""

    job_id: str
    state: str
    reason: str
    nodes: str
    name: str

    @property
    def is_live(self) -> bool:
        return self.state in _WAITING | _PAUSED | _RUNNING


class SlurmLauncher:
    """Runs jobs on a cluster that sees the spool folder under the same path as this machine does.

    A job's name in the queue ends with a digest of its folder, so it is found again by whoever knows the folder: also
    where the task died before it learnt the job's id. `rc` in the folder is the truth about a job; the queue is asked
    where that is not there yet. What the queue cannot tell is `unknown`, never "ended".
    """

    name = "slurm"
    detached = True

    def __init__(self, settings: SlurmSettings) -> None:
        self.poll_s = settings.poll_s
        self._settings = settings
        self._commands = CommandLine(settings.ssh_host, settings.ssh_options, variables=["SLURM_CONF"])

    def submit(self, job: Job) -> Handle:
        """Put a job into the queue.

        Raises:
            Misconfigured: Slurm refuses it, or its commands are not there.
            NotAvailable: Slurm cannot take it now, or does not answer; whether it has the job is for `find` to tell
                later.
        """
        job.folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_JOB_SCRIPT, job.folder / _JOB_SCRIPT.name)
        handle = Handle(launcher=self.name, job_id="", folder=str(job.folder))
        answer = self._commands.run(*self._sbatch(job))
        job_id = answer.stdout.strip().partition(";")[0]  # `id` or `id;cluster`
        if answer.returncode == 0 and job_id.isdigit():
            return replace(handle, job_id=job_id)
        if found := self.find(handle):  # an answer that got lost on its way
            return found
        if any(reason in answer.stderr for reason in _NOT_NOW):
            raise NotAvailable(
                f"Slurm does not take {job.name} now: {words(answer)}.",
                remedy="Try again later; if it stays so, look at the partition and the limits of casa.slurm.",
            )
        raise Misconfigured(
            f"Slurm does not take {job.name}: {words(answer)}.", remedy="Mend casa.slurm in the settings."
        )

    def find(self, handle: Handle) -> Handle | None:
        """The queue's job of this folder.

        Raises:
            NotAvailable: Slurm does not answer.
        """
        entries = self._of_folder(handle)
        best = next((entry for entry in entries if entry.is_live), entries[0] if entries else None)
        return replace(handle, job_id=best.job_id) if best else None

    def poll(self, handle: Handle) -> JobState:
        """How the job fares: by `rc`, then by the queue."""
        if (code := exit_code(handle)) is not None:
            return JobState("ended", code)
        if Path(handle.folder, "cancelled").exists():
            return JobState("ended", note="it was cancelled")
        try:
            state = self._in_queue(handle)
        except (NotAvailable, Misconfigured) as error:
            state = JobState("unknown", note=error.sentence.rstrip("."))
        if (code := exit_code(handle)) is not None:  # it ended while we asked
            return JobState("ended", code)
        return state

    def cancel(self, handle: Handle) -> None:
        """Take the job out of the queue, stop it on its node, and wait until it is gone.

        Raises:
            NotAvailable: Slurm does not answer, or the job has not ended after a minute. A job that has not begun
                never will.
        """
        if exit_code(handle) is not None:
            return
        order_to_stop(handle)
        deadline = time.monotonic() + _CANCEL_WITHIN_S
        while live := [entry.job_id for entry in self._of_folder(handle) if entry.is_live]:
            if time.monotonic() > deadline:
                raise NotAvailable(f"{_job(handle)} was cancelled and has not ended yet.", remedy="Is its node alive?")
            self._commands.run("scancel", *live)
            time.sleep(_LOOK_EVERY_S)

    def _sbatch(self, job: Job) -> list[str]:
        """The command that submits a job. Its environment goes in by `env`: neither ours nor a login shell's."""
        minutes = math.ceil(job.time_limit_s / 60) if job.time_limit_s else None
        megabytes = math.ceil(job.memory_bytes / 1024**2) if job.memory_bytes else None
        wanted = {
            "job-name": _name(job.name, str(job.folder)),
            "chdir": str(job.folder),
            "output": str(job.folder).replace("%", "%%") + "/slurm.out",
            "cpus-per-task": job.cores,
            "time": minutes,
            "mem": f"{megabytes}M" if megabytes else None,
            "partition": self._settings.partition,
            "account": self._settings.account,
        }
        options = [f"--{name}={value}" for name, value in wanted.items() if value]
        fixed = ["--parsable", "--export=ALL", "--requeue", "--open-mode=append", "--nodes=1", "--ntasks=1"]
        command = ["env", "-i", *(f"{name}={value}" for name, value in job.env.items()), *job.argv]
        script = [str(job.folder / _JOB_SCRIPT.name), str(job.folder), str(job.cwd), str(job.niceness)]
        return ["sbatch", *fixed, *options, *self._settings.options, *script, *command]

    def _of_folder(self, handle: Handle) -> list[_Entry]:
        """The jobs of this folder that Slurm remembers; it forgets ended ones after some minutes."""
        return [entry for entry in self._queue("--me") if entry.name.endswith(_digest(handle.folder))]

    def _queue(self, which: str) -> list[_Entry]:
        answer = self._commands.run("squeue", which, "--states=all", "--noheader", f"--format={_FIELDS}")
        if answer.returncode != 0:  # no answer, or no such job: told apart by wording alone
            raise NotAvailable(f"Slurm's queue cannot tell: {words(answer)}.", remedy="Is the cluster up?")
        return [_Entry(*line.split("|", 4)) for line in answer.stdout.splitlines() if line.count("|") >= 4]

    def _in_queue(self, handle: Handle) -> JobState:
        """How the queue says that the job fares; one job is a light question, all of a user's are not."""
        entries = self._queue(f"--jobs={handle.job_id}")
        entry = next((entry for entry in entries if entry.name.endswith(_digest(handle.folder))), None)
        if entry is None:
            return JobState("unknown", note=f"{_job(handle)} is not in the queue")
        job = f"Slurm's job {entry.job_id}"
        if entry.state in _RUNNING:
            return JobState("running", note=f"{job} runs on {entry.nodes}")
        if entry.state in _WAITING | _PAUSED:
            return JobState("waiting", note=f"{job} waits: {entry.state} ({entry.reason})")
        if entry.state in _CUT_SHORT:
            return JobState(
                "ended", note=f"{_CUT_SHORT[entry.state]} ({job}: {entry.state}, {entry.nodes or 'no node'})"
            )
        if entry.state in _TO_ITS_END:
            return self._end_without_rc(entry)
        return JobState("unknown", note=f"{job} is {entry.state}")

    def _end_without_rc(self, entry: _Entry) -> JobState:
        """The job's script ended, and its exit code cannot be seen: a full disk, or a file system that shows it late.

        Slurm's own record has it too: the script ends as the command did.
        """
        answer = self._commands.run("scontrol", "show", "job", "--oneliner", entry.job_id)
        if found := re.search(r" ExitCode=(\d+):(\d+) ", answer.stdout):
            code, signal = map(int, found.groups())
            return JobState("ended", 128 + signal if signal else code)
        return JobState("unknown", note=f"Slurm's job {entry.job_id} has {entry.state} and left no exit code")


def _name(job_name: str, folder: str) -> str:
    """What the queue calls the job: readable, and found again by its folder."""
    return f"{job_name}.{_digest(folder)}"


def _digest(folder: str) -> str:
    return hashlib.sha256(folder.encode()).hexdigest()[:16]


def _job(handle: Handle) -> str:
    return f"Slurm's job {handle.job_id or f'of {handle.folder}'}"
