"""Runs the export command for as long as whoever wants its export lives, and not a moment longer.

`python -I export_guard.py GRACE_S COMMAND ...`: standard input is a pipe that only the parent holds open. A task that
Airflow stops is killed after five seconds, wherever it is, and can end nothing any more; its end of the pipe closes all
the same.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

_CANNOT_BE_STARTED = 127
"""What a shell says of a command that is not there."""


def main(grace_s: float, command: list[str]) -> int:
    """Run the command; its exit code, as a shell tells it."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # meant for the command, which is in the same group
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.stdout.write(f"{command[0]} cannot be started: {error}\n")
        return _CANNOT_BE_STARTED
    threading.Thread(target=_end_with_the_parent, args=(process, grace_s), daemon=True).start()
    code = process.wait()
    return code if code >= 0 else 128 - code


def _end_with_the_parent(process: subprocess.Popen[bytes], grace_s: float) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        continue
    os.killpg(0, signal.SIGTERM)
    try:
        process.wait(grace_s)
    finally:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
