"""Followers: who joins a request is on record, and is told, once."""

from __future__ import annotations


def test_everybody_who_joined_is_told_once_the_asker_first(catalogue, asked):
    record = catalogue.open_request(asked)
    for name, email in (("bob", "bob@x.org"), ("bob", "bob@x.org"), ("cyd", ""), ("dan", "bob@x.org")):
        catalogue.join(record.id, name, email)
    assert catalogue.addresses(record.id) == (asked.email, "bob@x.org")
    notes = [line.note for line in catalogue.history(record.id) if line.note]
    assert notes == [f"{name} asked for the same, and joined this request." for name in ("bob", "cyd", "dan")]
    assert not any("@" in note for note in notes)


def test_the_asker_joins_nothing(catalogue, asked):
    record = catalogue.open_request(asked)
    for email in ("", asked.email):
        catalogue.join(record.id, asked.requested_by, email)
    assert catalogue.addresses(record.id) == (asked.email,)
    assert len(catalogue.history(record.id)) == 1


def test_who_joins_learns_whether_it_has_ended(catalogue, asked):
    record = catalogue.open_request(asked)
    assert not catalogue.join(record.id, "bob", "bob@x.org").ended
    catalogue.cancel(record.id)
    assert catalogue.join(record.id, "cyd", "cyd@x.org").ended
