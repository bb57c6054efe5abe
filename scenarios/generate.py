"""Write the generated scenarios, check them, or report how the engine does on them.

``generate.py`` writes them all (the same bytes every time); ``--check`` exits 1 if a file differs from what would be
written; ``--report`` replays them with the default policy and prints a table; ``--misses`` replays them and writes
``known-misses.toml`` anew (reasons are kept); ``--record LANGUAGE`` asks a real embedding model for the vectors anew.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
import tomllib
from pathlib import Path

sys.dont_write_bytecode = True
sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]

import _budgets  # noqa: E402
import _calls  # noqa: E402
import _embedder  # noqa: E402
import _legitimate  # noqa: E402
import _legitimate_tools  # noqa: E402
import _reworded  # noqa: E402
import _runaways  # noqa: E402
import _runaways_tools  # noqa: E402
import _storms  # noqa: E402
from _kinds import LANGUAGES, Kind  # noqa: E402

HERE = Path(__file__).resolve().parent
KINDS: list[Kind] = [
    *_runaways.KINDS,
    *_runaways_tools.KINDS,
    *_legitimate.KINDS,
    *_legitimate_tools.KINDS,
    *_calls.KINDS,
    *_storms.KINDS,
    *_budgets.KINDS,
    *_reworded.KINDS,
]
#: Transcripts above this size are written compressed.
_PLAIN_BYTES = 20_000
_MARK = "# Written by scenarios/generate.py: everything below this line. Do not edit."


def generated() -> dict[Path, bytes]:
    """Return all files by path, uncompressed."""
    files: dict[Path, bytes] = {}
    tables: dict[str, list[str]] = {}
    for kind in KINDS:
        for lang in LANGUAGES:
            scripts = kind.scripts(lang)
            name = f"{kind.name}-{lang}"
            data = "".join(script.dump() for script in scripts).encode()
            suffix = ".jsonl.gz" if len(data) > _PLAIN_BYTES else ".jsonl"
            files[HERE / kind.folder / f"{name}{suffix}"] = data
            lines = ["", f"[{name}]", f'story = "{kind.story(lang)}"', f"count = {len(scripts)}"]
            if not kind.runaway:
                lines.append("quiet = true")
            elif kind.detector:
                lines.append(f'detector = "{kind.detector}"')
            if lang in kind.embedder:
                lines.append(f'embedder = "{kind.embedder[lang]}"')
            for section, values in kind.policy.items():
                lines += ["", f"[{name}.policy.{section}]", *(f"{key} = {value}" for key, value in values.items())]
            if kind.runaway:
                for script in scripts:
                    lines += [
                        "",
                        f'[{name}.conversations."{script.id}"]',
                        *(() if script.onset is None else (f"onset = {script.onset}",)),
                        f"halt_from = {script.halt_from}",
                        f"halt_by = {script.halt_by}",
                    ]
            tables.setdefault(kind.folder, []).extend(lines)
    for folder, lines in tables.items():
        path = HERE / folder / "scenario.toml"
        by_hand = path.read_text("utf-8").split(_MARK)[0].rstrip() if path.exists() else ""
        files[path] = (by_hand + ("\n\n" if by_hand else "") + "\n".join([_MARK, *lines]) + "\n").encode()
    return files


def stored(path: Path) -> bytes | None:
    """Return what a file holds, uncompressed; what counts is the text, not what a version of zlib makes of it."""
    if not path.exists():
        return None
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def orphans(files: dict[Path, bytes]) -> list[Path]:
    """Transcripts that no table speaks of any more, or that are written under another name now."""
    found = []
    for table, data in files.items():
        if table.suffix == ".toml":
            by_hand = tomllib.loads(data.decode().split(_MARK)[0])
            for path in sorted(table.parent.glob("*.jsonl*")):
                if path not in files and path.name.split(".jsonl")[0] not in by_hand:
                    found.append(path)
    return found


def write() -> int:
    """Write what differs."""
    files = generated()
    for path in orphans(files):
        path.unlink()
    for path, data in files.items():
        if stored(path) != data:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(gzip.compress(data, 9, mtime=0) if path.suffix == ".gz" else data)
    return 0


def check() -> int:
    """Name the files that differ."""
    files = generated()
    wrong = [path for path, data in files.items() if stored(path) != data] + orphans(files)
    for path in wrong:
        print(f"differs: {path.relative_to(HERE)}")
    for lang, name in _reworded.VECTORS.items():
        differ = _embedder.unmatched(HERE / name, texts_embedded(lang))
        if differ:
            wrong.append(HERE / name)
            print(f"{differ} texts differ: {name}; record the vectors anew")
    return 1 if wrong else 0


def texts_embedded(lang: str) -> list[str]:
    """All texts that the recorded embedder of a language must know."""
    scripts = (script for kind in KINDS if lang in kind.embedder for script in kind.scripts(lang))
    return _embedder.texts_asked(line["content"] for script in scripts for line in script.lines)


def record(lang: str) -> int:
    """Record the vectors of a language with the real model."""
    import _models

    _embedder.record(HERE / _reworded.VECTORS[lang], _models.MODELS[lang](), texts_embedded(lang))
    return 0


def report_draw(name: str) -> int:
    """Draw other conversations of the same kinds, and report on them; those with recorded vectors are left out."""
    import _grammar
    import _report

    _grammar.use_draw(name)
    embedded = {kind.folder for kind in KINDS if kind.embedder}
    with tempfile.TemporaryDirectory() as folder:
        for path, data in generated().items():
            if path.parent.name in embedded:
                continue
            target = Path(folder) / path.relative_to(HERE)
            target.parent.mkdir(exist_ok=True)
            if path.suffix == ".toml":
                data = data.decode().split(_MARK)[1].encode()  # noqa: PLW2901 - what was written by hand stays out
            target.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
        return _report.main(Path(folder))


def main() -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--check", action="store_true", help="exit 1 if a file differs")
    group.add_argument("--report", action="store_true", help="print how the engine does on all scenarios")
    group.add_argument("--draw", metavar="NAME", help="the same for other conversations of the same kinds, not stored")
    group.add_argument("--misses", action="store_true", help="write known-misses.toml anew")
    group.add_argument("--record", choices=LANGUAGES, help="record the vectors of a language; see _models.py")
    options = parser.parse_args()
    if options.record:
        return record(options.record)
    if options.draw:
        return report_draw(options.draw)
    if options.report or options.misses:
        import _report

        return _report.main(HERE) if options.report else _report.write_misses(HERE)
    return check() if options.check else write()


if __name__ == "__main__":
    raise SystemExit(main())
