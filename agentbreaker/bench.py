"""Scenarios and labelled recordings through the real engine: what it catches, what it costs, and how fast it is.

Each transcript is replayed by a guard of its own, with the policy and the embedder that its scenario asks for.  What
is expected comes from the ``scenario.toml`` beside it, else from a labels file, else every conversation is taken as
legitimate.  :mod:`agentbreaker.bench_figures` adds the results up, :mod:`agentbreaker.bench_baseline` compares them
with those of another day.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from agentbreaker.errors import ConfigError, TranscriptError
from agentbreaker.labels import Labels, Role, expand_corpus
from agentbreaker.message import Message
from agentbreaker.policy import Policy
from agentbreaker.replay import ConversationReport, ReplayReport, replay
from agentbreaker.scenario import SCENARIO, Expectation, Outcome, Scenario, Table, read_tables, scenarios_in, stem_of
from agentbreaker.trails import length_of

if TYPE_CHECKING:
    from agentbreaker.embedding import Embedder
    from agentbreaker.verdict import Decision

__all__ = ["LABELS", "Bench", "BenchPlan", "Judged", "Reader", "run_bench"]

#: Name of the labels file that is taken by itself where it lies beside transcripts.
LABELS = "labels.jsonl"
#: Text that is looked at to tell in which script a conversation is written.
_SAMPLE = 4000

#: Yields the messages of one transcript with its name; the first argument is that name, the second asks for an error
#: at the first line that cannot be read.
Reader = Callable[[str, bool], Iterable[tuple[str, Message]]]


class Judged(BaseModel):
    """What came of one conversation, against what was expected of it.

    Attributes:
        name: Which one it is, the same in every run: ``FOLDER/TABLE: ID`` of a scenario, ``PATH: ID`` of others.
        source: Its file.
        runaway: Whether it had to be halted; else it had to be left alone.
        group: Family of a runaway, source of a legitimate conversation.
        detector_meant: Code of the detector that its scenario was written for; ``None`` outside of scenarios.
        language: ``en``, ``zh`` and so on where it is known, else the script (``latin``, ``cjk``, ``other``).
        outcome: How it ended.
        messages: How many it has.
        earliest: First message on which a halt of it is right; 0 of legitimate ones.
        onset, halted_at, warned_at: Numbers of messages, from 0; ``None`` where there is none.
        delay: Messages from the onset to the halt; ``None`` without both.
        detector: Code of the detector that decided.
        tokens, tokens_after_halt: Recorded ones.
        resent, resent_after_halt: Characters that are sent again and again: for each message, those of all before it.
        seconds: What the engine took for `judged` messages, those up to the halt.
        judged: How many messages it was asked about.
        succeeded: Whether the recorded run reached its goal; ``None`` where that is not known.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    source: str
    runaway: bool
    group: str
    detector_meant: str | None
    language: str
    outcome: Outcome
    messages: int
    earliest: int
    onset: int | None
    halted_at: int | None
    warned_at: int | None
    delay: int | None
    detector: str | None
    tokens: int
    tokens_after_halt: int
    resent: int
    resent_after_halt: int
    seconds: float
    judged: int
    succeeded: bool | None

    @property
    def caught(self) -> bool:
        """Whether it is a runaway that was halted, and not before its loop began."""
        return self.runaway and self.outcome in (Outcome.OK, Outcome.LATE, Outcome.OTHER_DETECTOR)


@dataclass(slots=True)
class BenchPlan:
    """What a bench is to run.

    Attributes:
        scenarios: Transcripts with a table.
        recordings: Other transcripts, by the labels that speak of them.
        assumed: Whether nobody has labelled the recordings of a group, so that all are taken as legitimate.
    """

    scenarios: list[Scenario] = field(default_factory=list)
    recordings: list[tuple[str, Labels]] = field(default_factory=list)
    assumed: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, patterns: Sequence[str], labels: str | os.PathLike[str] | None = None) -> BenchPlan:
        """Find out what the arguments of a command line mean.

        Args:
            patterns: Files, globs, folders with transcripts, folders of scenario folders, ``"-"``.
            labels: Labels of the transcripts that are no scenarios; ``None``: the ``labels.jsonl`` beside each, if
                there is one.

        Raises:
            TranscriptError: A pattern matches nothing, a table or a labels file cannot be used, a transcript in a
                scenario folder has no table, or two scenarios have the same name.
        """
        plan = cls()
        given = None if labels is None else Labels(labels)
        unlabelled = Labels()
        beside: dict[str, Labels] = {}
        names: dict[str, str] = {}
        tables: dict[str, dict[str, Table]] = {}
        whole = {os.path.normpath(pattern) for pattern in patterns if os.path.isdir(pattern)}
        for path in expand_corpus(patterns):
            folder = os.path.dirname(path)
            if os.path.basename(path) in (LABELS, f"{LABELS}.gz"):
                continue
            if path != "-" and os.path.isfile(os.path.join(folder, SCENARIO)):
                if folder not in tables:
                    tables[folder] = read_tables(os.path.join(folder, SCENARIO))
                scenario = _scenario_of(path, tables[folder])
                name = f"{scenario.group}/{scenario.name}"
                if names.setdefault(name, path) != path:
                    raise TranscriptError(f"another scenario is called {name} too: {names[name]}", path=path)
                plan.scenarios.append(scenario)
                continue
            if given is not None:
                plan.recordings.append((path, given))
                continue
            if folder not in beside:
                file = next((os.path.join(folder, n) for n in (LABELS, f"{LABELS}.gz") if _is_beside(path, n)), None)
                beside[folder] = unlabelled if file is None else Labels(file)
            plan.recordings.append((path, beside[folder]))
            if beside[folder] is unlabelled:
                plan.assumed.add(path)
        for folder in tables:
            if whole & {os.path.normpath(folder), os.path.normpath(os.path.dirname(folder))}:
                # The whole folder was named: a table without a transcript would silently measure less.
                list(scenarios_in(Path(folder)))
        if not plan.scenarios and not plan.recordings:
            raise TranscriptError("holds no transcript beside the labels", path=patterns[0])
        return plan


def _is_beside(path: str, name: str) -> bool:
    return path != "-" and os.path.isfile(os.path.join(os.path.dirname(path), name))


def _scenario_of(path: str, tables: Mapping[str, Table]) -> Scenario:
    name = stem_of(path)
    if name not in tables:
        raise TranscriptError(f"has no table in the {SCENARIO} beside it", path=path)
    return Scenario(name, tables[name], Path(path))


@dataclass(slots=True)
class Bench:
    """Everything that a bench found.

    Attributes:
        judged: What came of each conversation that has an expectation.
        ignored: Conversations whose label says that they are neither right nor wrong to halt.
        unlabelled: Conversations of a labelled corpus that nobody has labelled.
        assumed: Conversations taken as legitimate, as there are no labels.
        left_out: Scenarios that could not be run, with the reason.
        unmet: Ids of labels whose conversation was not in the transcripts.
        forgotten: Conversations that the guard had to forget in between for want of room.
    """

    judged: list[Judged] = field(default_factory=list)
    ignored: int = 0
    unlabelled: int = 0
    assumed: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    unmet: list[str] = field(default_factory=list)
    forgotten: int = 0


def run_bench(plan: BenchPlan, read: Reader, policy: str | os.PathLike[str] | None = None) -> Bench:
    """Replay everything and judge it.

    Args:
        plan: What to run.
        read: Reads a transcript.
        policy: Policy file; scenarios lay their own sections over it.  ``None``: the defaults.

    Raises:
        ConfigError: The policy cannot be used.
        TranscriptError: An expectation cannot be used, or whatever `read` raises.
    """
    bench = Bench()
    for scenario in plan.scenarios:
        rules = scenario.policy(policy)
        name = f"{scenario.group}/{scenario.name}"
        try:
            embedder = scenario.embedder()
        except (ConfigError, ImportError) as error:
            bench.left_out[name] = f"its embedder cannot be loaded: {error}"
            continue
        judged = list(_judge_scenario(scenario, name, rules, embedder, read, bench))
        if embedder is not None and embedder.unknown:
            bench.left_out[name] = f"{scenario.table.embedder} has no vectors of {embedder.unknown} of its texts"
            continue
        bench.judged += judged
    rules = Policy(policy)
    known: dict[int, Labels] = {}
    for path, labels in plan.recordings:
        known[id(labels)] = labels
        bench.judged += _judge_recording(path, labels, rules, read, bench, assumed=path in plan.assumed)
    bench.unmet = [label.conversation_id for labels in known.values() for label in labels.unmet()]
    return bench


def _judge_scenario(
    scenario: Scenario, name: str, rules: Policy, embedder: Embedder | None, read: Reader, bench: Bench
) -> Iterator[Judged]:
    source = os.fspath(scenario.transcript)
    missing = set(scenario.table.ids(scenario.name))
    for report, meter in _replay(source, True, rules, embedder, read, bench):
        known = scenario.table.ids(scenario.name)
        if report.conversation_id not in known:
            reason = f"holds a conversation that its table does not name; it names {known[0]!r}"
            raise TranscriptError(
                reason + (f" to {known[-1]!r}" if len(known) > 1 else ""), path=source, field="conversation_id"
            )
        missing.discard(report.conversation_id)
        expected = scenario.expectation(report.conversation_id)
        if not expected.quiet and expected.halt_from >= report.messages:
            reason = f"{expected.halt_from} is beyond {report.conversation_id}, which has {report.messages} messages"
            raise TranscriptError(reason, path=str(scenario.folder / SCENARIO), field=f"{scenario.name}.halt_from")
        group = scenario.group if expected.quiet else f"{scenario.detector or scenario.group}/{scenario.kind}"
        language = scenario.language or meter.script
        yield _judged(name, report, meter, expected, group, language, meant=scenario.detector)
    if missing:
        reason = f"lacks {len(missing)} of the conversations that its table names, first {min(missing)!r}"
        raise TranscriptError(reason, path=source, field="conversation_id")


def _judge_recording(
    path: str, labels: Labels, rules: Policy, read: Reader, bench: Bench, *, assumed: bool
) -> Iterator[Judged]:
    for report, meter in _replay(path, False, rules, None, read, bench):
        label = labels.of(path, report.conversation_id)
        if label is None:
            bench.unlabelled += 1
            continue
        label.check(report.messages)
        if label.role is Role.IGNORE:
            bench.ignored += 1
            continue
        bench.assumed += assumed
        quiet = label.role is Role.NEGATIVE
        expected = Expectation(quiet, label.earliest, None, None if quiet else label.onset)
        group = label.source or stem_of(path) if quiet else label.family
        name = Path(path).as_posix()
        yield _judged(name, report, meter, expected, group, meter.script, succeeded=label.succeeded)


def _judged(
    name: str,
    report: ConversationReport,
    meter: _Meter,
    expected: Expectation,
    group: str,
    language: str,
    *,
    meant: str | None = None,
    succeeded: bool | None = None,
) -> Judged:
    outcome = expected.outcome(report)
    at, onset = report.halted_at, expected.onset
    return Judged(
        name=f"{name}: {report.conversation_id}",
        source=report.source,
        runaway=not expected.quiet,
        group=group,
        detector_meant=meant,
        language=language,
        outcome=outcome,
        messages=report.messages,
        earliest=0 if expected.quiet else expected.halt_from,
        onset=onset,
        halted_at=at,
        warned_at=report.warned_at,
        delay=None if at is None or onset is None else at - onset,
        detector=report.detector,
        tokens=report.tokens,
        tokens_after_halt=report.tokens_after_halt,
        resent=meter.resent,
        resent_after_halt=0 if meter.resent_at_halt is None else meter.resent - meter.resent_at_halt,
        seconds=meter.seconds,
        judged=meter.judged,
        succeeded=succeeded,
    )


class _Meter:
    """What is measured of one conversation while it is replayed."""

    __slots__ = ("_characters", "_latin", "_sample", "_wide", "judged", "resent", "resent_at_halt", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self.judged = 0
        self.resent = 0
        self.resent_at_halt: int | None = None
        self._characters = 0
        self._sample = self._wide = self._latin = 0

    def take(self, message: Message) -> None:
        """Count the next message, before the engine sees it."""
        self.resent += self._characters
        if message.kind == "system":
            return
        self._characters += length_of(message)
        if self._sample < _SAMPLE:
            letters = [character for character in message.content[:_SAMPLE] if character.isalpha()]
            self._sample += len(letters)
            self._latin += sum(character < "\u0250" for character in letters)
            # Kana, Han and Hangul.
            self._wide += sum("\u3040" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7af" for char in letters)

    @property
    def script(self) -> str:
        """``cjk`` where such characters are common, else ``latin`` if most letters are, else ``other``."""
        if self._wide > 0.2 * self._sample:
            return "cjk"
        return "latin" if self._latin > 0.5 * self._sample else "other"


def _replay(
    source: str, strict: bool, rules: Policy, embedder: Embedder | None, read: Reader, bench: Bench
) -> Iterator[tuple[ConversationReport, _Meter]]:
    """Replay one transcript and measure it; reading is not measured."""
    meters: dict[str, _Meter] = {}

    def messages() -> Iterator[tuple[str, Message]]:
        for pair in read(source, strict):
            message = pair[1]
            meter = meters.get(message.conversation_id)
            if meter is None:
                meter = meters[message.conversation_id] = _Meter()
            meter.take(message)
            # All that happens until the replay asks for the next message is the engine's.
            before, begun = meter.judged, time.perf_counter()
            yield pair
            if meter.judged > before:
                meter.seconds += time.perf_counter() - begun

    def watch(number: int, message: Message, decision: Decision) -> None:
        meter = meters[message.conversation_id]
        meter.judged += 1
        if decision.action.opens:
            meter.resent_at_halt = meter.resent

    totals = ReplayReport()
    for report in replay(messages(), rules, report=totals, keep_incidents=0, watch=watch, embedder=embedder):
        yield report, meters.pop(report.conversation_id)
    bench.forgotten += totals.forgotten
