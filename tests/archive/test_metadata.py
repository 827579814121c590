"""What the metadata database tells, as typed rows; the same from SQLite and over Oracle's driver."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest
from made_mous import DELIVERED, change, eb_uid, execution, mous, mous_uid, sched_block, spell, write
from oracle_like import oracle_like

from alma_restore.archive import embedded
from alma_restore.archive.metadata import Metadata
from alma_restore.archive.queries import KEYS_AT_ONCE
from alma_restore.archive.records import Calibration, ExecutionBlock, ProductFile
from alma_restore.demo.metadata import write_mous
from alma_restore.errors import Corrupt, Inconsistent, Misconfigured, NotAvailable, Refused
from alma_restore.uid import Uid

DAY = timedelta(days=1)


@pytest.fixture(params=["embedded", "oracle"])
def ask(request):
    """Opens a database file through the one driver or the other."""

    def ask(path):
        if request.param == "oracle":
            return Metadata(oracle_like(path, lobs=["FILE_ID", "NAME"]))
        return Metadata(lambda: closing(embedded.connect(path)))

    return ask


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a folder with blanks" / "metadata.sqlite"


@pytest.fixture
def made(ask, path):
    """Makes a database of some MOUSs and opens it."""
    path.parent.mkdir()
    return lambda *records: ask(write(path, *records))


def uids(calibrations):
    return [calibration.mous_uid for calibration in calibrations]


@pytest.mark.parametrize("spelling", ["declared", "all", "none", "every other"])
def test_rows_come_typed_and_stripped_however_columns_are_padded(ask, made, path, spelling):
    record = mous(
        1,
        sched_blocks=(sched_block(1), sched_block(20, "Deleted", "SEVEN-M")),
        executions=(
            execution(7, 1, hour=3),
            execution(3, 1, "SemiPass", "s0", hour=0),
            execution(5, 20, "Fail", "s0", 1),
        ),
    )
    made(record, mous(2))
    metadata = ask(spell(path, spelling))
    calibration = metadata.calibration(mous_uid(1))
    started = DELIVERED - 30 * DAY
    assert calibration.mous_uid == mous_uid(1)
    assert calibration.calibrated_at == DELIVERED
    assert calibration.files == tuple(sorted(record.files, key=lambda file: file.file_id))
    assert calibration.execution_blocks == (
        ExecutionBlock(eb_uid(3), "SemiPass", "s0", started),
        ExecutionBlock(eb_uid(5), "Fail", "s0", started + timedelta(hours=1)),
        ExecutionBlock(eb_uid(7), "Pass", "s1", started + timedelta(hours=3)),
    )
    assert calibration.requested_arrays == ("SEVEN-M", "TWELVE-M")
    assert metadata.execution_blocks(mous_uid(1)) == calibration.execution_blocks
    assert metadata.product_files(mous_uid(1)) == calibration.files
    assert metadata.sched_blocks(mous_uid(1)) == record.sched_blocks
    assert metadata.mous_of_execution_block(eb_uid(5)) == mous_uid(1)
    structure = metadata.project_structure(mous_uid(1))
    assert structure.project_code == "2017.1.00370.S"
    assert structure.obs_unit_set_uid == record.obs_unit_set_uid
    assert structure.obs_unit_set_part_id == "X00000001"
    assert structure.project_status_uid == record.project_status_uid
    assert uids(metadata.calibrated_between(DELIVERED, DELIVERED + DAY)) == [mous_uid(1), mous_uid(2)]
    assert uids(metadata.all_calibrations(after=mous_uid(1))) == [mous_uid(2)]


def test_a_shift_log_that_repeats_itself_gives_each_execution_block_once(made):
    metadata = made(mous(1, shift_log_rows=5))
    assert [eb.uid for eb in metadata.execution_blocks(mous_uid(1))] == [eb_uid(1)]
    assert metadata.mous_of_execution_block(eb_uid(1)) == mous_uid(1)


def test_a_session_and_times_that_are_null_are_none(ask, made, path):
    made(mous(1, executions=(execution(1, 1, "Fail", None, None), execution(2, 1))))
    change(path, "UPDATE AQUA_SESSION SET STARTTIME = NULL, ENDTIME = NULL", "UPDATE AQUA_EXECBLOCK SET ENDTIME = NULL")
    blocks = ask(path).execution_blocks(mous_uid(1))
    assert {eb.uid: (eb.session_id, eb.started is None) for eb in blocks} == {
        eb_uid(1): (None, True),
        eb_uid(2): ("s1", False),
    }


@pytest.mark.parametrize("qa0", ["NULL", "''", "'Whatever'"])
def test_an_unheard_of_verdict_counts_as_unset(ask, made, path, qa0):
    made(mous(1))
    change(path, " ".join(["UPDATE AQUA_EXECBLOCK SET QA0STATUS =", qa0]))
    assert [eb.qa0 for eb in ask(path).execution_blocks(mous_uid(1))] == ["Unset"]


def test_an_execution_block_under_two_mous_is_in_both_and_belongs_to_neither_alone(made):
    shared = execution(9, 1)
    metadata = made(
        mous(1, executions=(shared,)),
        mous(2, sched_blocks=(sched_block(1), sched_block(2)), executions=(shared, execution(2, 2))),
    )
    assert [eb.uid for eb in metadata.execution_blocks(mous_uid(1))] == [eb_uid(9)]
    assert {eb.uid for eb in metadata.execution_blocks(mous_uid(2))} == {eb_uid(2), eb_uid(9)}
    with pytest.raises(Inconsistent, match=f"{mous_uid(1)}, {mous_uid(2)}"):
        metadata.mous_of_execution_block(eb_uid(9))
    assert metadata.mous_of_execution_block(eb_uid(2)) == mous_uid(2)


def test_names_keep_their_case(made):
    files = (
        ProductFile("A.scriptForCalibration.py", "script", 1),
        ProductFile("a.scriptforcalibration.py", "script", 1),
    )
    assert made(mous(1, files=files)).product_files(mous_uid(1)) == files


def test_a_size_may_be_unknown_or_beyond_32_bits(made):
    files = (ProductFile("a", "science", None), ProductFile("b", "science", 2**40))
    assert made(mous(1, files=files)).product_files(mous_uid(1)) == files


def test_what_the_archive_does_not_know_is_refused(made):
    metadata = made(mous(1))
    unknown = Uid("uid://A001/X9/X9")
    for question in (metadata.calibration, metadata.project_structure, metadata.mous_of_execution_block):
        with pytest.raises(Refused, match=str(unknown)) as refused:
            question(unknown)
        assert refused.value.code == "unknown_uid"
    assert metadata.execution_blocks(unknown) == ()
    assert metadata.product_files(unknown) == ()
    assert metadata.sched_blocks(unknown) == ()


@pytest.mark.parametrize(
    ("done", "told"),
    [
        ("UPDATE ASA_SCIENCE SET PROJECT_CODE = NULL", "project code (ASA_SCIENCE) and has 0"),
        ("UPDATE ASA_SCIENCE SET PROJECT_CODE = 'B' WHERE ASDM_UID LIKE '%X1'", "has 2: 2017.1.00370.S, B"),
        ("DELETE FROM AQUA_OUS", "ObsUnitSet (AQUA_OUS) and has 0: none"),
        ("DELETE FROM OBS_UNIT_SET_STATUS", "project status (OBS_UNIT_SET_STATUS) and has 0"),
    ],
)
def test_a_project_that_is_known_by_half_is_inconsistent(ask, made, path, done, told):
    made(mous(1, executions=(execution(1, 1), execution(2, 1))))
    change(path, done)
    with pytest.raises(Inconsistent) as stopped:
        ask(path).project_structure(mous_uid(1))
    assert told in stopped.value.sentence
    assert mous_uid(1) in stopped.value.sentence


def test_a_window_holds_its_start_and_not_its_end(made):
    second = timedelta(seconds=1)
    times = [DELIVERED - second, DELIVERED, DELIVERED + DAY - second, DELIVERED + DAY]
    metadata = made(*(mous(number, delivered_at=(time,)) for number, time in enumerate(times)))
    assert uids(metadata.calibrated_between(DELIVERED, DELIVERED + DAY)) == [mous_uid(1), mous_uid(2)]


def test_a_window_is_exact_to_the_microsecond(made):
    tick = timedelta(microseconds=1)
    edge = DELIVERED + timedelta(microseconds=500_000)
    metadata = made(
        *(mous(number, delivered_at=(time,)) for number, time in enumerate([edge - tick, edge, edge + tick]))
    )
    assert uids(metadata.calibrated_between(edge, edge + tick)) == [mous_uid(1)]
    assert uids(metadata.calibrated_between(edge - DAY, edge)) == [mous_uid(0)]


def test_a_window_takes_times_of_any_zone_and_none_counts_as_utc(made):
    metadata = made(mous(1))
    chile = timezone(timedelta(hours=-4))
    for start in (DELIVERED, DELIVERED.astimezone(chile), DELIVERED.replace(tzinfo=None)):
        assert uids(metadata.calibrated_between(start, start + DAY)) == [mous_uid(1)]
        assert uids(metadata.calibrated_between(start + timedelta(hours=1), start + DAY)) == []


def test_a_window_lists_the_first_delivered_first_and_each_once(made):
    later, once_more = DELIVERED + timedelta(hours=2), DELIVERED + timedelta(hours=5, microseconds=7)
    metadata = made(mous(1, delivered_at=(DELIVERED, once_more)), mous(2, delivered_at=(later,)), mous(3))
    calibrations = list(metadata.calibrated_between(DELIVERED, DELIVERED + DAY))
    assert uids(calibrations) == [mous_uid(3), mous_uid(2), mous_uid(1)]
    assert [calibration.calibrated_at for calibration in calibrations] == [DELIVERED, later, once_more]


def test_a_calibration_is_as_old_as_its_last_delivery(made):
    metadata = made(mous(1, delivered_at=(DELIVERED - 400 * DAY, DELIVERED)))
    (seen_then,) = metadata.calibrated_between(DELIVERED - 401 * DAY, DELIVERED - 399 * DAY)
    assert seen_then == metadata.calibration(mous_uid(1))
    assert seen_then.calibrated_at == DELIVERED


def test_other_states_and_other_entities_are_no_calibrations(ask, made, path):
    made(mous(1), mous(2, delivered_at=()))
    change(
        path,
        "UPDATE STATE_CHANGES SET DOMAIN_ENTITY_STATE = 'Verified'",
        'INSERT INTO STATE_CHANGES (STATUS_ENTITY_ID, DOMAIN_ENTITY_STATE, "TIMESTAMP")'
        " VALUES ('uid://A001/X9/X9', 'Delivered', '2018-09-21T12:00:00')",
    )
    assert uids(ask(path).calibrated_between(DELIVERED, DELIVERED + DAY)) == []


def test_a_row_without_a_uid_does_not_stop_the_others(ask, made, path, caplog):
    made(mous(1))
    change(
        path,
        "INSERT INTO ASA_PRODUCT_FILES VALUES ('nonsense', 'a', 'science', 1, NULL)",
        "INSERT INTO SHIFTLOG_ENTRIES (SE_SB_ID, SE_EB_UID) VALUES ('uid://A001/X2/X1', NULL)",
        "INSERT INTO BMMV_SCHEDBLOCK (ARCHIVE_UID, MOUS_STATUS_UID) VALUES (NULL, 'uid://A001/X1/X1')",
        'INSERT INTO STATE_CHANGES (STATUS_ENTITY_ID, DOMAIN_ENTITY_STATE, "TIMESTAMP")'
        " VALUES ('nonsense', 'Delivered', '2018-09-21T12:00:00')",
    )
    metadata = ask(path)
    expected = metadata.calibration(mous_uid(1))
    assert [eb.uid for eb in expected.execution_blocks] == [eb_uid(1)]
    assert list(metadata.all_calibrations()) == [expected]
    assert list(metadata.calibrated_between(DELIVERED, DELIVERED + DAY)) == [expected]
    assert "'nonsense'" in caplog.text


def test_a_sweep_reads_every_mous_once_in_order_and_resumes_behind_the_last(made):
    number = KEYS_AT_ONCE + 30
    metadata = made(*(mous(n) for n in reversed(range(1, number + 1))))
    seen = uids(metadata.all_calibrations())
    assert seen == sorted(mous_uid(n) for n in range(1, number + 1))
    assert uids(metadata.all_calibrations(after=seen[KEYS_AT_ONCE - 1])) == seen[KEYS_AT_ONCE:]
    assert uids(metadata.all_calibrations(after=seen[-1])) == []
    assert len(set(uids(metadata.calibrated_between(DELIVERED, DELIVERED + DAY)))) == number


def test_a_sweep_finds_what_changed_behind_the_windows(ask, made, path):
    made(*(mous(n) for n in range(1, 8)))
    window = (DELIVERED, DELIVERED + DAY)
    known = {each.mous_uid: each.fingerprint for each in ask(path).calibrated_between(*window)}
    with closing(sqlite3.connect(path)) as connection:
        write_mous(connection, mous(8, delivered_at=()))
        connection.commit()
    change(
        path,
        "DELETE FROM ASA_PRODUCT_FILES WHERE ASA_OUS_ID = 'uid://A001/X1/X2' AND FILE_CLASS = 'science'",
        "INSERT INTO ASA_PRODUCT_FILES VALUES ('uid://A001/X1/X3', 'new.fits', 'science', 1, NULL)",
        "UPDATE ASA_PRODUCT_FILES SET STORED_SIZE = 5 WHERE ASA_OUS_ID = 'uid://A001/X1/X4'",
        "UPDATE AQUA_EXECBLOCK SET QA0STATUS = 'SemiPass' WHERE EXECBLOCKUID = 'uid://A002/X1/X5'",
        "INSERT INTO SHIFTLOG_ENTRIES (SE_SB_ID, SE_EB_UID) VALUES ('uid://A001/X2/X6', 'uid://A002/X1/X7')",
        "DELETE FROM STATE_CHANGES WHERE STATUS_ENTITY_ID LIKE 'uid://A001/X1/X7%'",
    )
    news = [each.mous_uid for each in ask(path).all_calibrations() if known.get(each.mous_uid) != each.fingerprint]
    assert news == [mous_uid(n) for n in (2, 3, 4, 5, 6, 8)]


@pytest.mark.parametrize(
    ("before", "after", "is_new"),
    [("Fail", "SemiPass", False), ("Pending", "Fail", False), ("Pass", "Fail", True), ("SemiPass", "Pass", True)],
)
def test_a_verdict_makes_a_new_calibration_only_where_it_changes_what_is_restored(before, after, is_new):
    def calibrated(qa0):
        blocks = [
            ExecutionBlock(Uid(f"uid://A002/X1/X{n}"), word, "s", DELIVERED) for n, word in enumerate(("Pass", qa0))
        ]
        return Calibration(mous_uid(1), DELIVERED, (), tuple(blocks))

    assert (calibrated(before).fingerprint != calibrated(after).fingerprint) == is_new


def test_the_archive_can_be_written_while_a_sweep_is_read(ask, made, path):
    made(*(mous(n) for n in range(1, KEYS_AT_ONCE + 5)))
    sweep = ask(path).all_calibrations()
    next(sweep)
    change(path, "UPDATE AQUA_EXECBLOCK SET QA0STATUS = 'Fail'")
    assert len(list(sweep)) == KEYS_AT_ONCE + 3


def test_a_missing_database_is_not_available_and_another_schema_is_misconfigured(ask, path):
    path.parent.mkdir()
    with pytest.raises(NotAvailable, match=r"metadata\.sqlite"):
        ask(path).product_files(mous_uid(1))
    path.write_text("no database at all, and long enough for SQLite to see that it is none" * 20)
    with pytest.raises(NotAvailable, match=r"metadata\.sqlite"):
        ask(path).product_files(mous_uid(1))
    path.write_bytes(b"")
    with pytest.raises(Misconfigured, match=r"product_files\.sql"):
        ask(path).product_files(mous_uid(1))


def test_a_time_that_is_none_is_named(ask, made, path):
    made(mous(1))
    change(path, "UPDATE AQUA_EXECBLOCK SET STARTTIME = 'yesterday'")
    with pytest.raises(Corrupt, match="'yesterday'"):
        ask(path).execution_blocks(mous_uid(1))


def test_our_own_mistakes_are_not_taken_for_the_databases(made):
    metadata = made(mous(1))
    with pytest.raises(AttributeError):
        metadata.product_files(5)


def test_an_embedded_archive_is_made_once_and_read_only(tmp_path):
    path = write(tmp_path / "metadata.sqlite", mous(1))
    with pytest.raises(FileExistsError):
        embedded.create(path)
    with closing(embedded.connect(path)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM ALMA.ASA_PRODUCT_FILES")
        assert connection.execute("SELECT 'A' LIKE 'a'").fetchone() == (0,)
        bound = connection.execute("SELECT ?, ?", (datetime(2018, 9, 21), DELIVERED))
        assert bound.fetchone() == ("2018-09-21T00:00:00", "2018-09-21T12:00:00")
