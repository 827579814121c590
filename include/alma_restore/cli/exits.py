"""How commands end: exit codes, and errors told in one sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperGroup

from alma_restore.errors import Misconfigured, NotAvailable, Refused, RestoreError

JSON_KEY = "alma_restore.json"


class Exit(IntEnum):
    """What a command's exit code says."""

    OK = 0
    """Done as asked."""
    FAILED = 1
    """Refused, or it failed; the sentence says why."""
    USAGE = 2
    """The command line cannot be understood."""
    NOT_AVAILABLE = 3
    """Something does not answer now; the same command may work later."""
    MISCONFIGURED = 4
    """This installation lacks something; an operator has to mend it."""
    INTERRUPTED = 130
    """Ctrl-C. What was asked for before goes on."""


def exit_of(error: RestoreError) -> Exit:
    """The exit code of an error's class."""
    if isinstance(error, NotAvailable):
        return Exit.NOT_AVAILABLE
    return Exit.MISCONFIGURED if isinstance(error, Misconfigured) else Exit.FAILED


def tell(error: RestoreError, as_json: bool) -> None:
    """Tell an error: as JSON on standard output, or as a sentence on standard error."""
    if as_json:
        code = error.code if isinstance(error, Refused) else error.kind
        print(json.dumps({"error": {"code": code, "sentence": error.sentence, "remedy": error.remedy}}, indent=2))
    else:
        print(error, file=sys.stderr)


def guarded(action: Callable[[], Any], as_json: Callable[[], bool]) -> Any:
    """Do something, and end the program as `Exit` says when an error of ours ends it.

    Raises:
        typer.Exit: with the code of the error.
    """
    try:
        return action()
    except RestoreError as error:
        tell(error, as_json())
        raise typer.Exit(exit_of(error)) from error
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(Exit.INTERRUPTED) from interrupt


class Commands(TyperGroup):
    """A group of commands that ends as `Exit` says."""

    def invoke(self, ctx: Any) -> Any:
        return guarded(lambda: super(Commands, self).invoke(ctx), lambda: bool(ctx.meta.get(JSON_KEY)))
