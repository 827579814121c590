"""Sessions are numbered as the calibration run numbered them (DOMAIN section 4)."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alma_restore.archive.records import ExecutionBlock
from alma_restore.errors import Inconsistent
from alma_restore.rules.sessions import Session, number_sessions, reconcile
from alma_restore.uid import Uid

NOON = datetime(2018, 9, 21, 12, tzinfo=timezone.utc)


def uid(number):
    return Uid(f"uid://A002/Xd248b5/X{number:x}")


def block(number, session, qa0="Pass", hour=None):
    started = None if hour is None else NOON + timedelta(hours=hour)
    return ExecutionBlock(uid(number), qa0, session, started)


def listed(sessions):
    return [[int(eb.rsplit("/X", 1)[1], 16) for eb in session.eb_uids] for session in sessions]


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        pytest.param([], [], id="no execution block"),
        pytest.param([block(1, "a", hour=0)], [[1]], id="one session"),
        pytest.param([block(1, "a", "Fail", 0), block(2, "b", hour=5)], [[], [2]], id="an empty first session"),
        pytest.param(
            [block(1, "a", hour=0), block(2, "b", "SemiPass", 3), block(3, "c", hour=6)],
            [[1], [], [3]],
            id="a gap in the middle",
        ),
        pytest.param([block(1, "a", hour=0), block(2, "b", "Fail", 3)], [[1], []], id="a failed last session"),
        pytest.param([block(1, "a", "Fail", 0), block(2, "b", "Pending", 3)], [[], []], id="nothing passed"),
        pytest.param([block(1, "z", hour=0), block(2, "a", hour=5)], [[1], [2]], id="start decides, not the name"),
        pytest.param([block(9, "a", hour=0), block(2, "a", hour=1)], [[9, 2]], id="blocks in order of observation"),
        pytest.param(
            [block(1, "a", hour=0), block(2, "b", hour=5), block(3, "a", hour=9)],
            [[1, 3], [2]],
            id="a session that comes back later",
        ),
        pytest.param(
            [block(1, "a", "Fail", 0), block(2, "b", hour=5), block(3, "a", hour=9)],
            [[3], [2]],
            id="a failed block makes its session the earlier one",
        ),
        pytest.param([block(1, "a", "Fail"), block(2, "a", hour=5)], [[2]], id="an aborted block without a start"),
        pytest.param([block(1, None, "Fail"), block(2, "a", hour=5)], [[2]], id="an aborted block without a session"),
        pytest.param([block(1, "a", hour=5), block(1, "a", hour=5)], [[1]], id="a row twice"),
        pytest.param([block(2, "a", hour=5), block(1, "b", hour=5)], [[1], [2]], id="two sessions of one start"),
    ],
)
def test_sessions_are_numbered_by_their_earliest_start_at_any_verdict(blocks, expected):
    for order in (blocks, blocks[::-1]):
        sessions = number_sessions(order)
        assert listed(sessions) == expected
        assert [session.name for session in sessions] == [f"session_{n + 1}" for n in range(len(expected))]


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        ([block(1, "a", hour=0), block(2, None, hour=1)], "Xd248b5/X2 passed QA0 and has no session"),
        ([block(1, "a", hour=0), block(2, "b")], "Xd248b5/X2 passed QA0 and has no start time"),
        ([block(1, "a", "Fail"), block(2, "b", hour=1)], "session a has a start time"),
    ],
)
def test_what_cannot_be_numbered_is_named(blocks, told):
    with pytest.raises(Inconsistent, match=told):
        number_sessions(blocks)


@st.composite
def observed(draw):
    """Execution blocks of one MOUS as the database could have them: any verdicts, any sessions, any starts."""
    numbers = draw(st.lists(st.integers(1, 5000), unique=True, max_size=12))
    return [
        block(number, draw(st.sampled_from("abcde")), draw(st.sampled_from(["Pass", "SemiPass", "Fail"])), hour)
        for number in numbers
        for hour in [draw(st.integers(0, 30))]
    ]


@given(observed(), st.randoms())
def test_numbering_never_skips_never_repeats_and_never_depends_on_row_order(blocks, random):
    sessions = number_sessions(blocks)
    assert [session.number for session in sessions] == list(range(1, len({eb.session_id for eb in blocks}) + 1))
    named = [eb for session in sessions for eb in session.eb_uids]
    assert sorted(named) == sorted(eb.uid for eb in blocks if eb.qa0 == "Pass")
    shuffled = [*blocks, *blocks]
    random.shuffle(shuffled)
    assert number_sessions(shuffled) == sessions


@given(observed())
def test_a_delivery_that_agrees_changes_nothing(blocks):
    sessions = number_sessions(blocks)
    delivered = {session.name: session.eb_uids for session in sessions if session.eb_uids}
    reconciled = reconcile(sessions, delivered)
    assert reconciled.sessions == sessions
    assert reconciled.differences == ()


TWO = (Session(1, ()), Session(2, (uid(1), uid(2))))


@pytest.mark.parametrize(
    ("delivered", "expected", "moved"),
    [
        ({"session_2": [uid(1), uid(2)]}, [[], [1, 2]], []),
        ({"session_1": [], "session_2": [uid(1), uid(2)]}, [[], [1, 2]], []),
        ({"s2": [uid(1), uid(2)]}, [[], [1, 2]], []),
        ({"session_1": [uid(1), uid(2)]}, [[1, 2], []], [1, 2]),
        ({"session_1": [uid(1)], "session_2": [uid(2)]}, [[1], [2]], [1]),
        ({"session_2": [uid(1)], "session_4": [uid(2)]}, [[], [1], [], [2]], [2]),
        ({"session_2": [uid(2), uid(1)]}, [[], [2, 1]], []),
    ],
)
def test_the_delivery_wins_and_each_difference_is_told(delivered, expected, moved):
    reconciled = reconcile(TWO, delivered)
    assert listed(reconciled.sessions) == expected
    assert [session.number for session in reconciled.sessions] == list(range(1, len(expected) + 1))
    assert len(reconciled.differences) == len(moved)
    for number, difference in zip(moved, reconciled.differences, strict=True):
        assert f"{uid(number)} is in session_2 by the database" in difference


@pytest.mark.parametrize(
    ("delivered", "told"),
    [
        ({"session_2": [uid(1)]}, "not in the delivered calibration: uid://A002/Xd248b5/X2"),
        ({"session_2": [uid(1), uid(2), uid(3)]}, "calibrated and not QA0 Pass now: uid://A002/Xd248b5/X3"),
        ({"session_2": [uid(1), uid(3)]}, "X2; calibrated and not QA0 Pass now: uid://A002/Xd248b5/X3"),
        ({}, "not in the delivered calibration"),
        ({"default": [uid(1), uid(2)]}, "'default'"),
        ({"session_0": [uid(1), uid(2)]}, "'session_0'"),
        ({"session_1": [uid(1)], "session_2": [uid(1), uid(2)]}, "more than once: uid://A002/Xd248b5/X1"),
    ],
)
def test_a_delivery_of_other_blocks_stops_the_restore_and_names_them(delivered, told):
    with pytest.raises(Inconsistent) as stopped:
        reconcile(TWO, delivered)
    assert told in stopped.value.sentence
