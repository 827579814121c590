"""The observing sessions of an MOUS, numbered as its calibration run numbered them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from alma_restore.archive.records import ExecutionBlock
from alma_restore.errors import Inconsistent
from alma_restore.uid import Uid


@dataclass(frozen=True, slots=True)
class Session:
    """One observing session and the execution blocks of it that are restored; there may be none."""

    number: int
    eb_uids: tuple[Uid, ...]

    @property
    def name(self) -> str:
        return f"session_{self.number}"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The sessions that a restore uses, and in which ways the database saw them otherwise (one sentence each)."""

    sessions: tuple[Session, ...]
    differences: tuple[str, ...]


def number_sessions(blocks: Iterable[ExecutionBlock]) -> tuple[Session, ...]:
    """Number the observing sessions of one MOUS as its calibration run did.

    Every execution block counts, whatever its QA0 verdict; only `Pass` blocks are listed. A session whose blocks all
    failed is therefore present and empty: the pipeline stops reading at the first missing number. A block that did
    not pass and belongs to no session (an aborted execution) makes none.

    Args:
        blocks: all execution blocks of the MOUS, in any order.

    Returns:
        Sessions 1..N in order of their earliest start (UTC), no number missing.

    Raises:
        Inconsistent: a passed block without a session or a start time, or a session without any start time.

    Source: DOMAIN section 4. The ordering key is the one guess in this function.
    """
    members: defaultdict[str, list[ExecutionBlock]] = defaultdict(list)
    for block in set(blocks):
        if block.qa0 == "Pass" and (block.session_id is None or block.started is None):
            missing = "session" if block.session_id is None else "start time"
            raise Inconsistent(
                f"The execution block {block.uid} passed QA0 and has no {missing} in AQUA_EXECBLOCK.",
                remedy="Ask the archive to mend its metadata; the pipeline would put it into the wrong session.",
            )
        if block.session_id is not None:
            members[block.session_id].append(block)
    ordered = sorted(members.values(), key=lambda session: (_earliest(session), min(eb.uid for eb in session)))
    return tuple(Session(number, _passed(session)) for number, session in enumerate(ordered, start=1))


def reconcile(numbered: Sequence[Session], delivered: Mapping[str, Sequence[Uid]]) -> Reconciled:
    """Check our numbering against the delivery, which is the record of what the calibration run used.

    Where the numbering differs, the delivery wins and each difference is told. A session that the delivery does not
    name is empty.

    Args:
        numbered: what `number_sessions` found.
        delivered: the execution blocks of each session of the pipeline manifest, by its name (`session_1`, `s1`).

    Raises:
        Inconsistent: the delivery and the database disagree on which blocks passed (QA0 changed since), or the
            delivery is not usable: a session without a number, a block in two sessions.

    Source: DOMAIN section 4.
    """
    named = _by_number(delivered)
    ours = {uid: session.number for session in numbered for uid in session.eb_uids}
    theirs = {uid: number for number, uids in named.items() for uid in uids}
    _same_blocks(set(ours), set(theirs))
    differences = tuple(
        f"The execution block {uid} is in session_{ours[uid]} by the database and in session_{number} by the delivery; "
        "the delivery is followed."
        for uid, number in theirs.items()
        if ours[uid] != number
    )
    count = max([len(numbered), *named])
    return Reconciled(tuple(Session(number, named.get(number, ())) for number in range(1, count + 1)), differences)


def _earliest(session: Sequence[ExecutionBlock]) -> datetime:
    starts = [eb.started for eb in session if eb.started is not None]
    if not starts:
        raise Inconsistent(
            f"No execution block of the session {session[0].session_id} has a start time in AQUA_EXECBLOCK: "
            f"{', '.join(sorted(eb.uid for eb in session))}.",
            remedy="Ask the archive to mend its metadata; sessions are numbered by their start.",
        )
    return min(starts)


def _passed(session: Iterable[ExecutionBlock]) -> tuple[Uid, ...]:
    passed = sorted((str(eb.started), eb.uid) for eb in session if eb.qa0 == "Pass")
    return tuple(uid for _, uid in passed)


def _by_number(delivered: Mapping[str, Sequence[Uid]]) -> dict[int, tuple[Uid, ...]]:
    named = {}
    for name, uids in delivered.items():
        match = re.fullmatch(r"s(?:ession_)?([1-9]\d*)", name, re.ASCII)
        if match is None:
            raise Inconsistent(
                f"The pipeline manifest names a session {name!r}, which has no number.",
                remedy="Sessions are called session_1, session_2, ...; the manifest has to be mended by hand.",
            )
        named[int(match[1])] = tuple(uids)
    repeated = [uid for uid, times in Counter(uid for uids in named.values() for uid in uids).items() if times > 1]
    if repeated:
        raise Inconsistent(
            f"The pipeline manifest lists an execution block more than once: {', '.join(sorted(repeated))}.",
            remedy="The manifest has to be mended by hand.",
        )
    return named


def _same_blocks(passed_now: set[Uid], calibrated: set[Uid]) -> None:
    reasons = []
    if passed_now - calibrated:
        reasons.append(f"passed QA0 and not in the delivered calibration: {', '.join(sorted(passed_now - calibrated))}")
    if calibrated - passed_now:
        reasons.append(f"calibrated and not QA0 Pass now: {', '.join(sorted(calibrated - passed_now))}")
    if reasons:
        raise Inconsistent(
            f"The execution blocks in the database and in the delivery differ: {'; '.join(reasons)}.",
            remedy="QA0 verdicts changed since the calibration; the MOUS has to be calibrated again.",
        )
