"""Whatever is asked in whatever order: only legal changes happen, and the history tells each of them."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import get_args

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from alma_restore.catalogue.states import ACTIVE, ENDS, FOLLOWERS, IllegalTransition, State
from alma_restore.catalogue.store import Catalogue
from alma_restore.errors import CasaFailed, Refused
from alma_restore.request import RestoreRequest


def test_every_state_has_its_followers_and_ends_are_final():
    assert set(FOLLOWERS) == set(get_args(State))
    assert {end: FOLLOWERS[end] for end in ENDS if FOLLOWERS[end]} == {
        "delivered": {"expired"},
        "delivered_with_warnings": {"expired"},
    }
    assert {state for state in ACTIVE if FOLLOWERS[state]} == ACTIVE


class Walk(RuleBasedStateMachine):
    """One request, pushed about at random; `expected` is what the table of legal changes predicts."""

    catalogue: Catalogue

    def __init__(self) -> None:
        super().__init__()
        self.request_id = self.catalogue.open_request(RestoreRequest(mous_uid="uid://A001/X1/X2")).id
        self.expected = "accepted"
        self.attempt = 1

    def expect(self, new, change, *, unchanged=()):
        legal = new in FOLLOWERS[self.expected] or self.expected in {new, *unchanged}
        try:
            change()
        except IllegalTransition:
            assert not legal
            return
        assert legal
        if new in FOLLOWERS[self.expected]:
            self.expected = new

    @rule(stage=st.sampled_from(["fetch", "casa"]))
    def start(self, stage):
        self.expect("running", lambda: self.catalogue.start_stage(self.request_id, stage))

    @rule(warnings=st.lists(st.just("mind this"), max_size=1))
    def finish(self, warnings):
        end = "delivered_with_warnings" if warnings else "delivered"
        self.expect(end, lambda: self.catalogue.finish(self.request_id, warnings))

    @rule(error=st.sampled_from([CasaFailed("broken"), Refused("no", code="no")]))
    def fail(self, error):
        end = "refused" if isinstance(error, Refused) else "failed"
        ended_badly = ("refused", "failed", "cancelled")
        self.expect(end, lambda: self.catalogue.fail(self.request_id, error, "casa"), unchanged=ended_badly)

    @rule()
    def cancel(self):
        self.expect("cancelled", lambda: self.catalogue.cancel(self.request_id))

    @rule()
    def reopen(self):
        try:
            self.catalogue.reopen(self.request_id)
        except IllegalTransition:
            assert self.expected in ACTIVE
        else:
            assert self.expected in ENDS
            self.expected = "accepted"
            self.attempt += 1

    @rule()
    def note(self):
        self.catalogue.note(self.request_id, "a mail was sent")

    @invariant()
    def the_state_is_that_of_the_last_line_of_history(self):
        record, history = self.catalogue.get(self.request_id), self.catalogue.history(self.request_id)
        assert record.state == history[-1].state == self.expected
        assert record.stage == history[-1].stage
        assert record.attempt == self.attempt
        assert record.ended == (record.ended_at is not None)
        for before, after in pairwise(history):
            follows = after.state in FOLLOWERS[before.state] or after.state == before.state
            assert follows or (after.state == "accepted" and before.state in ENDS)


def test_a_request_pushed_about_at_random_stays_legal():
    with tempfile.TemporaryDirectory() as folder:
        Walk.catalogue = Catalogue.opened(f"sqlite:///{Path(folder) / 'catalogue.db'}")
        Walk.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
        Walk.TestCase("runTest").runTest()
