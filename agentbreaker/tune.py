"""Calibration as a whole: from labelled evidence to a threshold, and what it costs and buys.

:mod:`agentbreaker.trails` measures, :mod:`agentbreaker.calibration` compares thresholds,
:mod:`agentbreaker.tuned_policy` makes a ladder of the choice; this module puts the report of ``agentbreaker tune``
together.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentbreaker.calibration import Choice, Facts, OperatingPoint, choose, evaluate, half_of, turning_points
from agentbreaker.config import Ladder
from agentbreaker.intervals import percent
from agentbreaker.labels import Labels, Role
from agentbreaker.trails import Case, Rise, Trail, join
from agentbreaker.tuned_policy import ladder_for, opening_rung
from agentbreaker.verdict import MAX_EVIDENCE, evidence_of

__all__ = ["Data", "Finding", "Halves", "TuneReport", "tune"]

#: The thresholds of a table that a person reads, in messages' worth of nothing new.
_SERIES = (2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 10, 12, 15, 20, 30, 40, 60, 80, 120, 160)
_NAMED = 20


class Data(Facts):
    """What the figures rest on.

    Attributes:
        conversations, messages: In all.
        legitimate, legitimate_messages, sources: Conversations that must not be halted, their messages, and how many
            sources they come from.
        runaways, families: Conversations that should be halted, and how many kinds of them there are.
        ignored: Conversations whose label says that they are neither.
        assumed: Of the legitimate ones, those that nobody has labelled and that were taken as legitimate.
        unlabelled: Conversations without a label that play no part.
        unmet: Labels whose conversation is in none of the transcripts.
        unmet_ids: The first of them.
    """

    conversations: int
    messages: int
    legitimate: int
    legitimate_messages: int
    sources: int
    runaways: int
    families: int
    ignored: int
    assumed: int
    unlabelled: int
    unmet: int
    unmet_ids: tuple[str, ...]


class Finding(Facts):
    """A conversation that the chosen threshold gets wrong.

    Attributes:
        conversation_id, source: The conversation and its file.
        group: Its source (of legitimate ones) or its family (of runaways).
        messages: How many it has.
        at: Message of the halt; ``None`` if it is missed.
        onset: First message of the loop; ``None`` for legitimate ones, and where it is not known.
        detector: Code of the detector with the most evidence at the halt; ``None`` if it is missed.
        highest: Highest evidence in the whole conversation.
    """

    conversation_id: str
    source: str
    group: str
    messages: int
    at: int | None
    onset: int | None
    detector: str | None
    highest: float


class Halves(Facts):
    """The proof on conversations that played no part in the choice.

    Attributes:
        chosen_on: The chosen threshold on the half that it was chosen on.
        held_out: The same threshold on the other half.
        other_choice: What would have been chosen on the other half; ``None`` if nothing could be.
    """

    chosen_on: OperatingPoint
    held_out: OperatingPoint
    other_choice: float | None


class TuneReport(Facts):
    """All that ``agentbreaker tune`` found out.

    Attributes:
        data: What the figures rest on.
        max_false_halts, max_warned: Tolerated shares of legitimate conversations, halted and warned.
        present: Threshold of the policy that was started from; ``None`` if it stops nothing.
        choice: The chosen threshold; ``None`` if there is none to choose.
        undecided: Why there is none.
        present_recommended: Whether `present` lies in the recommended range; ``None`` without a choice.
        points: What thresholds do, lowest first; of the half that the choice was made on, where there are halves.
        chosen: The point of the choice: of the held-out half, where there are halves.
        ladder: The ladder that follows; ``None`` without a choice.
        warned: What the lowest rung of it that only warns or steers does, read as warnings; ``None`` if there is no
            such rung.
        warned_tolerable: Whether `max_warned` is reached.
        halves: With ``--split``.
        false_halts, early_halts, misses: Conversations that the chosen threshold gets wrong, in all the data.
    """

    data: Data
    max_false_halts: float
    max_warned: float
    present: float | None
    present_recommended: bool | None
    choice: Choice | None
    undecided: str | None
    points: tuple[OperatingPoint, ...]
    chosen: OperatingPoint | None
    ladder: Ladder | None
    warned: OperatingPoint | None
    warned_tolerable: bool
    halves: Halves | None
    false_halts: tuple[Finding, ...]
    early_halts: tuple[Finding, ...]
    misses: tuple[Finding, ...]


def tune(
    trails: Sequence[Trail],
    labels: Labels,
    start: Ladder | None = None,
    *,
    max_false_halts: float = 0.01,
    max_warned: float = 0.02,
    max_early: float | None = None,
    thresholds: Sequence[float] = (),
    every: bool = False,
    split: bool = False,
) -> TuneReport:
    """Choose the threshold of the sequential test, and report what it does.

    Args:
        trails: Measured conversations.
        labels: What is known of them.
        start: The ladder to start from; ``None``: the default one.
        max_false_halts: Tolerated share of halted legitimate conversations, in every source.
        max_warned: Tolerated share of warned or steered ones, in every source.
        max_early: Tolerated share of runaways that are halted before their loop begins; ``None``: not judged.
        thresholds: Thresholds to report on, besides the choice and its neighbours; empty: a readable series.
        every: Report on every threshold at which anything changes.
        split: Choose on one half of the conversations, and report the choice on the other.

    Raises:
        TranscriptError: As :func:`~agentbreaker.trails.join`.
    """
    start = start or Ladder()
    cases, unlabelled = join(trails, labels)
    if split:
        chosen_on = [case for case in cases if half_of(case.trail.conversation_id) == 0]
        shown_on = [case for case in cases if half_of(case.trail.conversation_id) == 1]
    else:
        chosen_on = shown_on = cases
    choice = choose(chosen_on, max_false_halts, max_early)
    present = opening_rung(start)
    points = set(thresholds or (turning_points(chosen_on) if every else _series(chosen_on)))
    points |= {present} if present is not None else set()
    chosen = ladder = warned = halves = recommended = None
    tolerable = False
    if choice is not None:
        points |= {choice.threshold, *choice.neighbours}
        recommended = present is not None and choice.recommends(present)
        chosen = evaluate(shown_on, choice.threshold)
        ladder, tolerable = ladder_for(choice.threshold, start, chosen_on, max_warned)
        telling = ladder.warn if ladder.warn is not None else ladder.steer
        warned = None if telling is None else evaluate(shown_on, telling)
        if split:
            other = choose(shown_on, max_false_halts, max_early)
            halves = Halves(
                chosen_on=evaluate(chosen_on, choice.threshold),
                held_out=chosen,
                other_choice=None if other is None else other.threshold,
            )
    wrong = [] if choice is None else [(case, case.trail.crossing(choice.threshold)) for case in cases]
    return TuneReport(
        data=_data(trails, cases, unlabelled, labels),
        max_false_halts=max_false_halts,
        max_warned=max_warned,
        present=present,
        present_recommended=recommended,
        choice=choice,
        undecided=None if choice is not None else _undecided(chosen_on, max_false_halts, split),
        points=tuple(evaluate(chosen_on, point) for point in sorted(points)),
        chosen=chosen,
        ladder=ladder,
        warned=warned,
        warned_tolerable=tolerable,
        halves=halves,
        false_halts=tuple(_finding(case, at) for case, at in wrong if case.label.role is Role.NEGATIVE and at),
        early_halts=tuple(_finding(case, at) for case, at in wrong if at and case.is_early(at)),
        misses=tuple(_finding(case, at) for case, at in wrong if case.label.role is Role.POSITIVE and at is None),
    )


def _undecided(cases: Sequence[Case], rate: float, split: bool) -> str:
    if not any(case.label.role is Role.NEGATIVE for case in cases):
        where = " on the half that the choice is made on" if split else ""
        return f"there is no legitimate conversation{where}, so nothing says what a threshold costs"
    return f"no threshold up to {MAX_EVIDENCE:g} keeps false halts within {percent(rate)} everywhere"


def _series(cases: Sequence[Case]) -> list[float]:
    """Readable thresholds, up to the first that halts nothing legitimate and misses most of what can be caught."""
    shown: list[float] = []
    best = 0
    for threshold in map(float, _SERIES):
        shown.append(threshold)
        point = evaluate(cases, threshold)
        caught = 0 if point.runaways is None else point.runaways.caught
        best = max(best, caught)
        if not point.overall.halted and 2 * caught <= best:
            break
    return shown


def _finding(case: Case, rise: Rise | None) -> Finding:
    trail, label = case.trail, case.label
    return Finding(
        conversation_id=trail.conversation_id,
        source=trail.source,
        group=case.source if label.role is Role.NEGATIVE else label.family,
        messages=trail.messages,
        at=None if rise is None else rise.at,
        onset=label.onset if label.role is Role.POSITIVE else None,
        detector=None if rise is None else rise.code,
        highest=round(evidence_of(trail.highest), 6),
    )


def _data(trails: Sequence[Trail], cases: Sequence[Case], unlabelled: int, labels: Labels) -> Data:
    of_role: dict[Role, list[Case]] = {role: [] for role in Role}
    for case in cases:
        of_role[case.label.role].append(case)
    unmet = labels.unmet()
    return Data(
        conversations=len(trails),
        messages=sum(trail.messages for trail in trails),
        legitimate=len(of_role[Role.NEGATIVE]),
        legitimate_messages=sum(case.trail.messages for case in of_role[Role.NEGATIVE]),
        sources=len({case.source for case in of_role[Role.NEGATIVE]}),
        runaways=len(of_role[Role.POSITIVE]),
        families=len({case.label.family for case in of_role[Role.POSITIVE]}),
        ignored=len(of_role[Role.IGNORE]),
        assumed=sum(not case.label.path for case in cases),
        unlabelled=unlabelled,
        unmet=len(unmet),
        unmet_ids=tuple(label.conversation_id for label in unmet[:_NAMED]),
    )
