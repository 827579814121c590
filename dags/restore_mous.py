"""Restore one MOUS.

**What it does.** Fetches the raw execution blocks and the calibration products of one MOUS, runs CASA, verifies and
delivers the calibrated MeasurementSets, and tells the requester.

**Parameters.** `mous_uid` or `eb_uid` (one of them is needed), `casa_version` (empty: the version that calibrated the
data, or the nearest newer one), `email` (who is told how it ended), `destination` (empty: the default delivery folder),
`split` (what to split off and average, as JSON; empty: nothing), `tar` (a tar file for each MeasurementSet).

**When it fails.** The reason is one sentence: at the end of the failed task's log, in the mail, and in the catalogue.
*open_request*: refused; nothing is broken. The reason says why this MOUS cannot be restored or what is wrong with the
request. While it waits for a retry, the disk is full or the archive's database does not answer. *fetch_asdm*,
*fetch_products*: the exporter or NGAS; the log names the file. *write_ppr*: a product is damaged, or the archive's
records contradict each other. *run_casa*: the log shows the end of CASA's; clear the task to run it again.
A running CASA is found again, not started twice. With `casa.jobs = "eb"` there is one for each execution block, and the
first that fails stops the others. *verify*: CASA ended, and the result is not good: look at restore.json in the
workspace; clear *run_casa* to have it made anew. *deliver*: the destination; clear the task when it is mended.

**Try it.** `./run demo --serve`, then Trigger with uid://A001/X12d1/X23e.
"""

from __future__ import annotations

from airflow.sdk import dag

from alma_restore.orchestration import restore_tasks as tasks
from alma_restore.orchestration.params import RESTORE_PARAMS


@dag(
    schedule=None,
    params=RESTORE_PARAMS,
    max_active_runs=tasks.MAX_RUNS,
    default_args={"weight_rule": "upstream"},  # what has begun is finished first: it gives back its disk
    tags=["restore"],
    doc_md=__doc__,
)
def restore_mous() -> None:
    eb_uids = tasks.open_request()
    raw = tasks.fetch_asdm.expand(eb_uid=eb_uids)
    products = tasks.fetch_products()
    ppr = tasks.write_ppr()
    calibrated = tasks.run_casa(ppr)
    verified = tasks.verify()
    delivered = tasks.deliver()
    closed = tasks.close_request().as_teardown()

    eb_uids >> products
    [raw, products] >> ppr >> calibrated >> verified >> delivered >> closed


restore_mous()
