"""One SchedBlock is chosen, and never a deleted one (DOMAIN section 3)."""

from itertools import permutations

import pytest

from alma_restore.archive.records import SchedBlock
from alma_restore.errors import Refused
from alma_restore.rules.sched_block import choose
from alma_restore.uid import Uid


def sched_block(number, state):
    return SchedBlock(Uid(f"uid://A001/X1/X{number}"), None, state, "sb", "TWELVE-M")


@pytest.mark.parametrize(
    ("states", "chosen"),
    [
        (["FullyObserved"], 0),
        (["Suspended", "FullyObserved"], 1),
        (["Deleted", "Suspended"], 1),
        (["Canceled", "Deleted", "Ready"], 2),
        (["Ready", "Suspended"], 1),
        (["Suspended", "PartiallyObserved"], 1),
        (["", "Deleted"], 0),
        (["FullyObserved", "FullyObserved"], 0),
    ],
)
def test_the_best_state_wins_in_any_order(states, chosen):
    linked = [sched_block(number, state) for number, state in enumerate(states)]
    for order in permutations(linked):
        assert choose(order) == linked[chosen]


@pytest.mark.parametrize(
    ("states", "told"), [([], "has no SchedBlock"), (["Deleted", "Canceled"], "uid://A001/X1/X1 Canceled")]
)
def test_without_a_usable_one_the_request_is_refused(states, told):
    with pytest.raises(Refused) as refused:
        choose([sched_block(number, state) for number, state in enumerate(states)])
    assert refused.value.code == "no_sched_block"
    assert told in refused.value.sentence
