"""The command `almaRestore`, as NRAO's users know it: the same options, the same two lines.

Source: seed 1, "How is an ALMA restore requested?"; DOMAIN section 13.
"""

from __future__ import annotations

import os
import uuid
from typing import Annotated

import typer

from alma_restore import capo
from alma_restore.cli.exits import Exit, guarded
from alma_restore.client.desk import Desk
from alma_restore.errors import RestoreError
from alma_restore.request import RestoreRequest
from alma_restore.settings import settings
from alma_restore.uid import Uid

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="markdown")


@app.command()
def alma_restore(
    mous_uid: Annotated[str, typer.Argument(help="The MOUS, such as uid://A001/X12d1/X23e.", metavar="MOUS_UID")],
    profile: Annotated[str, typer.Option("-P", "--profile", help="CAPO profile; default: CAPO_PROFILE.")] = "",
    casa_home: Annotated[str, typer.Option("-C", "--casa", help="CASA home; default: what calibrated.")] = "",
    email: Annotated[str, typer.Option("-E", "--email", help="Who is told when it is done.")] = "",
) -> None:
    """Restore the calibrated MeasurementSets of one MOUS to the spool.

    Prints where it runs as soon as that is known, and ends then; the restore goes on. The number in parentheses is the
    restore's: `alma-restore status 75711` tells how it fares.

    Examples:

        almaRestore -P naasc-test -E me@example.org uid://A001/X12d1/X23e

        almaRestore -P dsoc-test -C /home/casa/packages/RHEL6/release/casa-release-5.4.0-68 uid://A001/X12d1/X23e
    """
    guarded(lambda: _restore(mous_uid, profile, casa_home, email), as_json=lambda: False)


def _restore(mous_uid: str, profile: str, casa_home: str, email: str) -> None:
    if profile:
        os.environ[capo.PROFILE_VARIABLE] = profile
        settings.cache_clear()
    desk = Desk.opened()
    asked = RestoreRequest.parse(
        {
            "mous_uid": mous_uid,
            "casa_version": casa_home,
            "email": email,
            "correlation_id": str(uuid.uuid4()),
            "origin": "command",
        }
    )
    desk.request(asked)
    print(f"Restoring a CMS of {Uid(mous_uid)} to spool.", flush=True)
    told = desk.wait(asked.correlation_id, until=lambda told: bool(told.workspace and told.number is not None))
    if not told.workspace:
        raise RestoreError(f"The restore is {told.state}: {told.reason}", remedy=told.remedy)
    print(f"Alma Restore ({told.number}) running in: {told.workspace}")
    if told.ended and not told.delivered:
        raise typer.Exit(Exit.FAILED)


def main() -> None:
    app()
