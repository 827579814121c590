"""What must hold of any metadata database: our embedded one, a stand-in for Oracle, and yours.

Set `ALMA_RESTORE_ORACLE_DSN` to run the same tests against a real Oracle database (docs/oracle.md). They only read.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import islice

import pytest
from oracle_like import oracle_like

from alma_restore.archive import embedded, oracle
from alma_restore.archive.metadata import Metadata
from alma_restore.demo.many_mous import UNTIL, many_mous
from alma_restore.demo.metadata import write_many
from alma_restore.errors import Inconsistent, Refused
from alma_restore.rules.eligibility import judge
from alma_restore.uid import Uid

SAMPLE = 20


@dataclass
class Archive:
    """A database and a window of it in which something was delivered."""

    metadata: Metadata
    start: datetime
    end: datetime

    def sample(self):
        found = list(islice(self.metadata.calibrated_between(self.start, self.end), SAMPLE))
        assert found, f"nothing was delivered from {self.start} to {self.end}: set ALMA_RESTORE_ORACLE_DAYS higher"
        return found


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("contract") / "metadata.sqlite"
    with closing(embedded.create(path)) as connection:
        write_many(connection, many_mous(100))
        connection.commit()
    return path


@pytest.fixture(scope="module", params=["embedded", "oracle-like", "real-oracle"])
def archive(request, made):
    if request.param == "embedded":
        return Archive(Metadata(lambda: closing(embedded.connect(made))), UNTIL - timedelta(days=3), UNTIL)
    if request.param == "oracle-like":
        return Archive(Metadata(oracle_like(made)), UNTIL - timedelta(days=3), UNTIL)
    given = os.environ.get
    if not given("ALMA_RESTORE_ORACLE_DSN"):
        pytest.skip("ALMA_RESTORE_ORACLE_DSN is not set: no real Oracle database to ask (docs/oracle.md)")
    metadata = Metadata(
        lambda: closing(
            oracle.connect(
                given("ALMA_RESTORE_ORACLE_DSN", ""),
                given("ALMA_RESTORE_ORACLE_USER", ""),
                given("ALMA_RESTORE_ORACLE_PASSWORD", ""),
                wallet=given("ALMA_RESTORE_ORACLE_WALLET", ""),
                wallet_password=given("ALMA_RESTORE_ORACLE_WALLET_PASSWORD", ""),
            )
        )
    )
    now = datetime.now(timezone.utc)
    return Archive(metadata, now - timedelta(days=float(given("ALMA_RESTORE_ORACLE_DAYS", "7"))), now)


def test_a_window_tells_what_each_mous_tells_alone(archive):
    for calibration in archive.sample():
        assert archive.metadata.calibration(calibration.mous_uid) == calibration
        assert archive.metadata.execution_blocks(calibration.mous_uid) == calibration.execution_blocks
        assert archive.metadata.product_files(calibration.mous_uid) == calibration.files


def test_a_delivery_lies_in_the_window_or_was_repeated_since(archive):
    for calibration in archive.sample():
        assert calibration.calibrated_at >= archive.start


def test_texts_are_stripped_and_times_are_utc(archive):
    for calibration in archive.sample():
        for file in calibration.files:
            assert file.file_id == file.file_id.strip() != ""
            assert file.file_class == file.file_class.strip() != ""
            assert file.size_bytes is None or type(file.size_bytes) is int
        for block in calibration.execution_blocks:
            assert block.started is None or block.started.tzinfo is timezone.utc
            assert block.session_id is None or block.session_id == block.session_id.strip() != ""
        assert all(array == array.strip() != "" for array in calibration.requested_arrays)


def test_each_execution_block_leads_back_to_its_mous(archive):
    for calibration in archive.sample():
        for block in calibration.execution_blocks:
            try:
                found = archive.metadata.mous_of_execution_block(block.uid)
            except Inconsistent as listed_under_several:
                found = listed_under_several.sentence
            assert calibration.mous_uid in found


def test_what_is_restorable_has_all_that_a_ppr_needs(archive):
    restorable = [each for each in archive.sample() if judge(each).restorable]
    assert restorable
    for calibration in restorable:
        assert archive.metadata.project_structure(calibration.mous_uid).project_code
        assert archive.metadata.sched_blocks(calibration.mous_uid)
        for sched_block in archive.metadata.sched_blocks(calibration.mous_uid):
            assert sched_block.state == sched_block.state.strip()


def test_a_sweep_comes_in_order_and_resumes(archive):
    seen = [each.mous_uid for each in islice(archive.metadata.all_calibrations(), SAMPLE)]
    assert seen == sorted(set(seen))
    resumed = [each.mous_uid for each in islice(archive.metadata.all_calibrations(after=seen[4]), SAMPLE - 5)]
    assert resumed == seen[5:]


def test_an_unknown_uid_is_refused(archive):
    nobody = Uid("uid://A001/Xffffffff/Xffffffff")
    for question in (archive.metadata.calibration, archive.metadata.project_structure):
        with pytest.raises(Refused, match="does not know"):
            question(nobody)
    with pytest.raises(Refused, match="knows no MOUS"):
        archive.metadata.mous_of_execution_block(nobody)


def test_an_empty_window_is_empty(archive):
    long_ago = datetime(1990, 1, 1, tzinfo=timezone.utc)
    assert list(archive.metadata.calibrated_between(long_ago, long_ago + timedelta(days=2))) == []
