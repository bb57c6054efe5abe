"""The policy that a calibration comes to: its ladder, and the file that says where the figures come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentbreaker.calibration import SMALL_SOURCE, STEP, lowest_tolerable
from agentbreaker.config import Ladder, PolicySettings
from agentbreaker.errors import ConfigError
from agentbreaker.intervals import percent
from agentbreaker.policy import Policy
from agentbreaker.printable import printable
from agentbreaker.report.terminal import count_of
from agentbreaker.trails import Case
from agentbreaker.verdict import MAX_EVIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbreaker.calibration import OperatingPoint
    from agentbreaker.tune import TuneReport

__all__ = ["ladder_for", "opening_rung", "policy_text"]


def opening_rung(ladder: Ladder) -> float | None:
    """Return the threshold at which a conversation is stopped: that of finish, else of halt; ``None``: never."""
    return ladder.halt if ladder.finish is None else ladder.finish


def ladder_for(threshold: float, start: Ladder, cases: Sequence[Case], max_warned: float) -> tuple[Ladder, bool]:
    """Return the ladder that stops a conversation at `threshold`.

    The other rungs keep their distances as a ratio.  Where that warns more than `max_warned` of the legitimate
    conversations, of a source or of all together, warning, and if need be steering, move up as far as it takes, but
    stay below `threshold`: a warning that comes with the halt is none.  Small sources do not count by themselves
    here; a warning stops nothing, and one of fourteen says little about a rate.

    Args:
        threshold: Of the first rung that stops a conversation, finish or halt.
        start: The ladder to start from; warn, steer and finish stay off where they are off.
        cases: Only legitimate ones matter.
        max_warned: Tolerated share of warned or steered conversations.

    Returns:
        The ladder, and whether `max_warned` is reached.
    """
    present = opening_rung(start)
    if present is None:
        present = max(Ladder().halt or threshold, start.steer or start.warn or 0.0)
    ratio = threshold / present

    def moved(rung: float | None) -> float | None:
        return None if rung is None else min(MAX_EVIDENCE, max(STEP, round(round(rung * ratio / STEP) * STEP, 2)))

    warn, steer = moved(start.warn), moved(start.steer)
    lowest = lowest_tolerable(cases, max_warned, floor=STEP, least=SMALL_SOURCE)
    reachable = lowest is not None and lowest[0] < threshold
    floor = lowest[0] if lowest is not None and reachable else 0.0
    return (
        Ladder(
            warn=None if warn is None else min(threshold, max(warn, floor)),
            steer=None if steer is None else min(threshold, max(steer, floor)),
            finish=None if start.finish is None else threshold,
            halt=threshold if start.finish is None else _above(threshold, moved(start.halt)),
        ),
        reachable or (warn is None and steer is None),
    )


def _above(threshold: float, halt: float | None) -> float | None:
    return None if halt is None else max(threshold, halt)


def policy_text(report: TuneReport, start: Policy, command: str) -> str:
    """Return the policy file: the ladder that was chosen, and comments that say what it rests on.

    Sections of `start` that differ from the defaults are taken over, as the figures were measured with them.  The same
    report gives the same text.

    Args:
        report: What was found out.
        start: The policy that was started from.
        command: The command line, for people who want to do it again.

    Raises:
        ConfigError: There is no choice to write.
    """
    if report.choice is None or report.chosen is None or report.ladder is None:
        raise ConfigError(f"no policy is written: {report.undecided}")
    sections = {name: getattr(start.settings, name) for name in PolicySettings.model_fields}
    changed = [name for name, section in sections.items() if section != getattr(PolicySettings(), name)]
    lines = [f"# {line}" for line in _account(report, report.chosen, command)]
    if set(changed) - {"ladder"}:
        lines.append("# Sections below [ladder] are those of the policy that the figures were measured with.")
    policy = Policy(**{**sections, "ladder": report.ladder})
    return "\n".join([*lines, "", policy.to_toml({"ladder", *changed})])


def _account(report: TuneReport, chosen: OperatingPoint, command: str) -> Iterator[str]:
    """Yield what the file rests on, one line each, safe to put into a comment."""
    data, rung = report.data, "finish" if report.ladder is not None and report.ladder.finish is not None else "halt"
    yield f"Written by: {printable(command, limit=1000)}"
    yield (
        f"Data: {count_of(data.legitimate, 'legitimate conversation')} in {count_of(data.sources, 'source')} "
        f"({count_of(data.legitimate_messages, 'message')}), {count_of(data.runaways, 'runaway')}"
        + (f" of {data.families} families" if data.families > 1 else "")
    )
    yield (
        f"Goal: {rung} at most {percent(report.max_false_halts)} of the legitimate conversations of every source and "
        f"of all together, of a source below {SMALL_SOURCE} at most one"
    )
    if report.halves is not None:
        yield "Chosen on one half of the conversations. What follows was measured on the other half."
    yield f"Reached with {rung} = {chosen.threshold:g}: {chosen.overall} halted"
    yield f"False halts: {chosen.run_length_told}"
    if report.choice is not None and report.choice.upper is not None:
        yield f"Recommended: {report.choice.threshold:g} to {report.choice.upper:g}"
    if chosen.worst.halted:
        yield f"Worst source: {printable(chosen.worst.source)}, {chosen.worst}"
    for family in chosen.families:
        delay = "" if family.delay is None else f", median delay {family.delay[1]:g} messages"
        early = f", {family.early} halted early" if family.early else ""
        yield f"Caught: {printable(family.family)}, {family}{delay}{early}"
    if report.warned is not None:
        note = "" if report.warned_tolerable else f"; {percent(report.max_warned)} cannot be reached below {rung}"
        yield f"Warned: {report.warned.overall}{note}"
        if report.warned.worst.halted:
            yield f"Warned most: {printable(report.warned.worst.source)}, {report.warned.worst}"
    if data.assumed:
        yield f"{count_of(data.assumed, 'conversation')} had no label and counted as legitimate."
