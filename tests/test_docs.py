"""README.md is run as it stands: what it shows is what a reader gets.

How a fence says what to do with it, in words after the language (which no renderer shows):

=====================  ==============================================================================================
```python              runs in a fresh interpreter and must end without an error
```python continue     runs after the Python fences before it, back to the last one without ``continue``
```python needs=NAME   is skipped where the module NAME is not installed
```text output         is what the Python fence before it prints
```console             each ``$ agentbreaker ...`` runs and prints what is shown; nothing shown, nothing compared.
                       The status must be 0, or be shown with ``$ echo $?``
```console continue    runs in the directory of the console fences before it, after them
```LANGUAGE file=NAME  is written to the file NAME before any fence runs
```LANGUAGE no-test    is not run: installing, and commands of other tools
=====================  ==============================================================================================

In expected output ``...`` stands for anything.  Every fence runs in a directory of its own, which holds the
``file=`` files and copies of `scenarios` and `benchmarks`.
"""

from __future__ import annotations

import difflib
import doctest
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
SECONDS = 120
COLUMNS = 100
SHELLS = {"console", "bash", "sh", "shell", "zsh", "powershell", "shell-session"}
WORDS = {"continue", "no-test", "output"}
SETTINGS = {"file", "needs"}
#: Commands that a tested console fence may use besides ``agentbreaker`` itself.
HARMLESS = {"cat", "echo", "head", "ls", "wc"}
FENCE = re.compile(r"(?P<indent> *)(?P<ticks>```+|~~~+)(?P<info>[^`]*)$")


@dataclass(frozen=True)
class Fence:
    """One fenced block of a Markdown file.

    Attributes:
        language: First word of the info string.
        words: The other words of the info string.
        code: What stands in the fence.
        line: Line of the first line of `code` in the file, counted from 1.
    """

    language: str
    words: tuple[str, ...]
    code: str
    line: int

    def setting(self, name: str) -> str | None:
        """Value of ``name=value`` in the info string."""
        return next((word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")), None)

    @property
    def is_run(self) -> bool:
        """Whether the fence is a program or a session that is to be run."""
        return self.language in {"python", "console"} and "no-test" not in self.words and not self.setting("file")


@dataclass(frozen=True)
class Command:
    """One command of a console fence, with the output that is shown."""

    text: str
    shown: str


def fences(markdown: str) -> list[Fence]:
    """All fenced blocks of a Markdown text."""
    found: list[Fence] = []
    opening: re.Match[str] | None = None
    body: list[str] = []
    for number, line in enumerate(markdown.splitlines(), start=1):
        match = FENCE.match(line)
        if opening is None:
            if match:
                opening, body = match, []
            continue
        ticks = opening["ticks"]
        if match and match["ticks"].startswith(ticks) and not match["info"].strip():
            language, *words = opening["info"].split() or [""]
            found.append(Fence(language, tuple(words), "".join(f"{x}\n" for x in body), number - len(body)))
            opening = None
        else:
            indent = len(opening["indent"])
            body.append(line[indent:] if not line[:indent].strip() else line)
    assert opening is None, f"a fence is never closed: {opening.group()}"
    return found


def commands(fence: Fence) -> list[Command]:
    """The commands of a console fence; a backslash at the end of a line goes on in the next."""
    found: list[tuple[str, list[str]]] = []
    going_on = False
    for line in fence.code.splitlines():
        if going_on:
            text, shown = found[-1]
            found[-1] = (f"{text}\n{line.removeprefix('> ')}", shown)
        elif line.startswith("$ "):
            found.append((line[2:], []))
        else:
            assert found, f"line {fence.line}: a console fence begins with a command: $ agentbreaker ..."
            found[-1][1].append(line)
        going_on = line.endswith("\\") and (going_on or line.startswith("$ "))
    return [Command(text, "".join(f"{line}\n" for line in shown)) for text, shown in found]


def misuse(fence: Fence) -> str | None:
    """What is wrong with the way a fence is marked."""
    unknown = [word for word in fence.words if word not in WORDS and word.partition("=")[0] not in SETTINGS]
    if unknown:
        return f"unknown words {unknown}"
    if fence.language in {"py", "python3", "pycon"}:
        return "call it python"
    if fence.language == "python" and "no-test" in fence.words:
        return "a Python fence is always run; say needs=NAME if it needs a library that may be missing"
    if fence.language in SHELLS and "no-test" in fence.words:
        own = [line for line in fence.code.splitlines() if line.removeprefix("$ ").startswith("agentbreaker")]
        return f"our own commands are always run: {own}" if own else None
    if fence.language in SHELLS and fence.setting("file") is None:
        if fence.language != "console":
            return "make it a console fence with `$ ` before the commands, or mark it no-test"
        for command in commands(fence):
            first = shlex.split(command.text, comments=True)[:1]
            if first != ["agentbreaker"] and not set(first) <= HARMLESS:
                return f"cannot test {command.text!r}; mark the fence no-test"
    return None


def chain(all_fences: list[Fence], fence: Fence) -> list[Fence]:
    """`fence` with those that it continues, oldest first."""
    alike = [other for other in all_fences if other.is_run and other.language == fence.language]
    end = alike.index(fence)
    start = end
    while "continue" in alike[start].words:
        assert start > 0, f"line {fence.line}: nothing to continue"
        start -= 1
    return alike[start : end + 1]


def expected_output(all_fences: list[Fence], fence: Fence) -> str | None:
    """What the fence after `fence` says that it prints."""
    after = all_fences[all_fences.index(fence) + 1 :][:1]
    return after[0].code if after and "output" in after[0].words else None


def same(want: str, got: str) -> bool:
    """Whether `got` is `want`, with ``...`` for anything and blanks at the ends of lines ignored."""

    def tidy(text: str) -> str:
        return "".join(f"{line.rstrip()}\n" for line in text.strip("\n").splitlines())

    return doctest.OutputChecker().check_output(tidy(want), tidy(got), doctest.ELLIPSIS)


def compare(want: str, got: str, what: str) -> None:
    """Fail with a readable difference unless `got` is what is shown."""
    if not same(want, got):
        lines = difflib.unified_diff(want.splitlines(), got.splitlines(), "shown", "printed", lineterm="")
        pytest.fail(f"{what} prints something else:\n" + "\n".join(lines), pytrace=False)


def furnish(directory: Path, all_fences: list[Fence]) -> None:
    """Put everything into `directory` that the README speaks of."""
    for name in ("scenarios", "benchmarks"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, directory / name)
    for fence in all_fences:
        file = fence.setting("file")
        if file is not None:
            path = (directory / file).resolve()
            assert path.is_relative_to(directory.resolve()), f"line {fence.line}: {file} is outside"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fence.code, "utf-8")


def environment(tools: Path) -> dict[str, str]:
    """The environment of a reader: this checkout, a plain terminal of fixed width, and no settings of a CI."""
    tools.mkdir()
    script = tools / "agentbreaker"
    script.write_text(f"#!{sys.executable}\nfrom agentbreaker.cli import main\nraise SystemExit(main())\n", "utf-8")
    script.chmod(0o755)
    terminal = ("AGENTBREAKER_", "CI", "CLICOLOR", "FORCE_COLOR", "GITHUB_", "LC_", "PYTEST_", "TTY_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(terminal)}
    return kept | {
        "COLUMNS": str(COLUMNS),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
        "PATH": os.pathsep.join([str(tools), os.environ.get("PATH", os.defpath)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "1",
        "TERM": "dumb",
    }


def run(arguments: list[str], directory: Path, variables: dict[str, str]) -> tuple[int, str]:
    """Run a command and return its status and what it printed."""
    done = subprocess.run(
        arguments,
        cwd=directory,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
        encoding="utf-8",
    )
    return done.returncode, done.stdout


def run_python(all_fences: list[Fence], fence: Fence, directory: Path, variables: dict[str, str]) -> None:
    """Run a Python fence; a traceback shows the lines of the README."""
    lines: list[str] = []
    linked = chain(all_fences, fence)
    for part in linked:
        lines += [""] * (part.line - 1 - len(lines)) + part.code.splitlines()
        if part is not linked[-1]:
            # Nobody compares this here, it only separates what the parts print.
            lines.append("print(end='\\x00', flush=True)")
    program = directory / "README_example.py"
    program.write_text("\n".join(lines) + "\n", "utf-8")
    status, printed = run([sys.executable, program.name], directory, variables)
    if status != 0:
        pytest.fail(f"the example in line {fence.line} ends with status {status}:\n{printed}", pytrace=False)
    want = expected_output(all_fences, fence)
    if want is not None:
        compare(want, printed.rpartition("\x00")[2], f"the example in line {fence.line}")


def run_console(all_fences: list[Fence], fence: Fence, directory: Path, variables: dict[str, str]) -> None:
    """Run the commands of a console fence, after those that it continues."""
    for part in chain(all_fences, fence):
        status = 0
        session = commands(part)
        for command, following in zip(session, [*session[1:], None], strict=True):
            status, printed = run(["bash", "-c", f"(exit {status})\n{command.text}"], directory, variables)
            if command.shown.strip():
                compare(command.shown, printed, f"line {part.line}: $ {command.text}")
            is_shown = following is not None and following.text.strip() == "echo $?"
            if status != 0 and not is_shown:
                pytest.fail(f"line {part.line}: $ {command.text}\nends with status {status}:\n{printed}", pytrace=False)


def run_fence(all_fences: list[Fence], fence: Fence, tmp_path: Path) -> None:
    """Run one fence as a reader would."""
    needs = fence.setting("needs")
    if needs is not None and importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    directory = tmp_path / "reader"
    directory.mkdir()
    furnish(directory, all_fences)
    variables = environment(tmp_path / "tools")
    (run_python if fence.language == "python" else run_console)(all_fences, fence, directory, variables)


ALL = fences(README.read_text("utf-8")) if README.exists() else []
needs_readme = pytest.mark.skipif(not README.exists(), reason="README.md is not written yet")


@needs_readme
def test_the_readme_shows_code_and_commands() -> None:
    """The README has examples of both kinds, so that there is something to run."""
    run_languages = {fence.language for fence in ALL if fence.is_run}
    assert run_languages == {"python", "console"}


@needs_readme
def test_every_fence_of_the_readme_is_marked_rightly() -> None:
    """No program or command of ours hides from being run."""
    wrong = [f"README.md:{fence.line}: {problem}" for fence in ALL if (problem := misuse(fence))]
    for before, fence in pairwise([Fence("", (), "", 0), *ALL]):
        if "output" in fence.words and not (before.language == "python" and before.is_run):
            wrong.append(f"README.md:{fence.line}: output of what? No Python fence stands before it")
    assert not wrong, "\n".join(wrong)


@needs_readme
@pytest.mark.parametrize(
    "fence", [pytest.param(fence, id=f"{fence.language}-line-{fence.line}") for fence in ALL if fence.is_run]
)
def test_the_readme_does_what_it_says(fence: Fence, tmp_path: Path) -> None:
    """An example runs, and prints what is shown."""
    run_fence(ALL, fence, tmp_path)


SAMPLE = """
# Sample

```json file=data/one.json
{"a": 1}
```

- in a list

  ```python
  import json, pathlib
  a = json.loads(pathlib.Path("data/one.json").read_text())["a"]
  print("not compared")
  ```

```python continue
print(a)
print("took 0.123 s")
```

```text output
1
took ... s
```

````text
```python
not a fence of its own
```
````

```python
print(a)
```

```console
$ cat data/one.json
{"a": 1}
$ ls data/one.json \\
    data/none.json
...
data/one.json
$ echo $?
2
$ echo made > made.txt
```

```console continue
$ cat made.txt
made
```

```console
$ cat made.txt
```

```console
$ echo one
two
```

```sh no-test
pip install agentbreaker
```
"""


def test_fences_are_found_where_they_stand() -> None:
    """The reader of Markdown sees languages, words, lines, indented and nested fences."""
    found = fences(SAMPLE)
    assert [fence.language for fence in found] == [
        *["json", "python", "python", "text", "text", "python"],
        *["console", "console", "console", "console", "sh"],
    ]
    assert found[0].setting("file") == "data/one.json"
    for fence in found:
        first = fence.code.splitlines()[0]
        assert SAMPLE.splitlines()[fence.line - 1].strip() == first
    assert found[1].code.startswith("import json")
    with pytest.raises(AssertionError, match="never closed"):
        fences("```python\nx = 1\n")


def test_the_harness_passes_what_is_right(tmp_path: Path) -> None:
    """Files, continuation, shown output, wildcards and shown statuses work."""
    found = fences(SAMPLE)
    for number in (1, 2, 6, 7):
        (tmp_path / str(number)).mkdir()
        run_fence(found, found[number], tmp_path / str(number))


@pytest.mark.parametrize(
    ("number", "message"),
    [(5, r"line 33 ends with status 1[^$]*NameError"), (8, "ends with status 1"), (9, "prints something else")],
)
def test_the_harness_fails_what_is_wrong(number: int, message: str, tmp_path: Path) -> None:
    """A fresh interpreter, a fresh directory, and a comparison that compares."""
    found = fences(SAMPLE)
    with pytest.raises(pytest.fail.Exception, match=message):
        run_fence(found, found[number], tmp_path)


def test_wrong_output_of_a_program_is_seen(tmp_path: Path) -> None:
    """The output fence after a Python fence is compared."""
    found = fences("```python\nprint('one')\n```\n\n```text output\ntwo\n```\n")
    with pytest.raises(pytest.fail.Exception, match="prints something else"):
        run_fence(found, found[0], tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "```python no-test\nx = 1\n```",
        "```py\nx = 1\n```",
        "```python contiune\nx = 1\n```",
        "```bash\nagentbreaker demo\n```",
        "```console no-test\n$ agentbreaker demo\n```",
        "```console\n$ pip install agentbreaker\n```",
    ],
)
def test_a_fence_cannot_hide(text: str) -> None:
    """Wrong words, wrong names and hidden commands are named."""
    assert misuse(fences(text)[0])


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx = 1\n```",
        "```console\n$ agentbreaker demo\n```",
        "```sh no-test\npip install . && agentbreaker demo\n```",
        "```toml file=agentbreaker.toml\na = 1\n```",
        "```mermaid\ngraph LR\n```",
    ],
)
def test_an_ordinary_fence_is_accepted(text: str) -> None:
    """What is marked rightly raises no complaint."""
    assert misuse(fences(text)[0]) is None
