"""``agentbreaker check`` as a user meets it: exit codes, files, and a log that obeys nobody."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.scenario_folders import quiet, runaway, save

FORMATS = ["text", "json", "junit", "github", "gitlab", "sarif", "markdown"]
HOSTILE = "\n::stop-commands::x ::add-mask::y ##[error]z \x1b[2J"


@pytest.mark.parametrize("output_format", FORMATS)
def test_every_format_fails_on_a_halt_and_passes_without(cli: Cli, tmp_path: Path, output_format: str) -> None:
    """Exit 1 and the conversation's name, or exit 0."""
    save(tmp_path / "bad" / "runs.jsonl", quiet("good"), runaway("the-bad-one"))
    save(tmp_path / "good" / "runs.jsonl", quiet("good"))
    bad = cli("check", "bad", "-f", output_format)
    assert (bad.code, "the-bad-one" in bad.out) == (1, True), bad.err
    good = cli("check", "good", "--output-format", output_format)
    assert good.code == 0, good.err


def test_limits_are_options(cli: Cli, tmp_path: Path) -> None:
    """Waste and cost fail on their own, and are told."""
    save(tmp_path / "runs.jsonl", runaway("bad", usage={"input_tokens": 10, "output_tokens": 1}, cost_usd=0.2))
    none = cli("check", "runs.jsonl", "--fail-on", "none")
    assert (none.code, none.out.splitlines()[-1]) == (0, "passed")
    waste = cli("check", "runs.jsonl", "--fail-on", "none", "--max-waste", "10%")
    assert (waste.code, "the limit is 10 %" in waste.out, waste.out.splitlines()[-1]) == (1, True, "failed: 1 finding")
    cost = cli("check", "runs.jsonl", "--fail-on", "none", "--max-cost", "5.00")
    assert (cost.code, "the conversations cost $6.8000, the limit is $5.0000" in cost.out) == (1, True)
    assert cli("check", "runs.jsonl", "--fail-on", "none", "--max-waste", "0.95", "--max-cost", "7").code == 0


def test_the_policy_is_that_of_production(cli: Cli, tmp_path: Path) -> None:
    """What it tolerates passes."""
    save(tmp_path / "runs.jsonl", runaway("bad"))
    (tmp_path / "prod.toml").write_text('[ladder]\nhalt = "off"\nfinish = "off"\n')
    done = cli("check", "runs.jsonl", "--policy", "prod.toml")
    assert (done.code, "0 halted, 1 warned" in done.out) == (0, True)
    assert cli("check", "runs.jsonl", "--policy", "prod.toml", "--fail-on", "warn").code == 1


def test_a_finding_names_the_line_of_its_file(cli: Cli, tmp_path: Path) -> None:
    """Blank lines and lines that cannot be read are lines too; each file counts for itself."""
    lines = [json.dumps(line) for line in runaway("bad")]
    save(tmp_path / "runs" / "a.jsonl", quiet("good"))
    with (tmp_path / "runs" / "a.jsonl").open("a") as file:
        file.write("\n\n")
    (tmp_path / "runs" / "b.jsonl").write_text("\n{}\n" + "\n".join(lines) + "\n")
    document = json.loads(cli("check", "runs", "-f", "json").out)
    [finding] = document["findings"]
    assert (finding["source"], finding["line"]) == (str(Path("runs", "b.jsonl")), finding["message"] + 3)


def test_the_step_summary_is_added_to(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub's file gets the Markdown below what is there; a file that cannot be written is said."""
    save(tmp_path / "runs.jsonl", runaway("bad"))
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert cli("check", "runs.jsonl", "-f", "github").code == 1
    assert summary.read_text().startswith("before\n## agentbreaker check: failed: 1 finding\n")
    cli("check", "runs.jsonl", "-f", "text")
    assert summary.read_text().count("## agentbreaker check") == 1
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "such"))
    assert cli("check", "runs.jsonl", "-f", "github").code == 2


def test_a_report_goes_to_a_file(cli: Cli, tmp_path: Path) -> None:
    """The log then says how it went; text and annotations belong to the log."""
    save(tmp_path / "runs.jsonl", runaway("bad"))
    done = cli("check", "runs.jsonl", "-f", "sarif", "-o", "report.sarif")
    assert (done.code, done.out.splitlines()[-1]) == (1, "failed: 1 finding")
    assert json.loads((tmp_path / "report.sarif").read_text())["version"] == "2.1.0"
    assert cli("check", "runs.jsonl", "-f", "sarif", "-o", "no/such").code == 2
    assert cli("check", "runs.jsonl", "-o", "report.txt").code == 2
    assert cli("check", "runs.jsonl", "-f", "github", "-o", "report.txt").code == 2


def test_bad_input_is_told(cli: Cli, tmp_path: Path) -> None:
    """Usage exits with 2; what cannot be read exits with 3, also where nothing failed."""
    save(tmp_path / "runs.jsonl", quiet("good"))
    for arguments in (["--max-waste", "10"], ["--max-cost", "much"], ["--policy", "gone.toml"], ["--fail-on", "x"]):
        assert cli("check", "runs.jsonl", *arguments).code == 2
    assert cli("check", "gone.jsonl").code == 3
    (tmp_path / "empty.jsonl").write_bytes(b"")
    done = cli("check", "runs.jsonl", "empty.jsonl")
    assert (done.code, "empty.jsonl: empty" in done.err) == (3, True)


@pytest.mark.parametrize("output_format", FORMATS)
def test_no_line_of_the_log_is_a_command_of_an_agent(cli: Cli, tmp_path: Path, output_format: str) -> None:
    """Whatever agents say or are called, GitHub's runner finds no command of theirs, and a terminal no control code."""
    lines = [
        line | {"sender": HOSTILE + line["sender"], "recipient": HOSTILE + line["recipient"], "content": HOSTILE}
        for line in runaway(HOSTILE * 3)
    ]
    save(tmp_path / "runs.jsonl", lines)
    done = cli("check", "runs.jsonl", "-f", output_format)
    assert done.code == 1
    for line in (done.out + done.err).splitlines():
        obeyed = line.lstrip().startswith("::") and not line.startswith("::error file=runs.jsonl,")
        assert not obeyed, line
        assert "##[" not in line
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", line)


def test_replay_gives_no_command_either(cli: Cli, tmp_path: Path) -> None:
    """The same conversations on the terminal of another command."""
    lines = [line | {"sender": HOSTILE + line["sender"], "content": HOSTILE} for line in runaway(HOSTILE * 3)]
    save(tmp_path / "runs.jsonl", lines)
    for line in cli("replay", "runs.jsonl").out.splitlines():
        assert not line.lstrip().startswith("::")
        assert "##[" not in line


def test_transcripts_in_other_formats_are_checked(cli: Cli, tmp_path: Path) -> None:
    """With the options that replay has, and the line of the file is still told."""
    lines = [f'{line["conversation_id"]},{line["sender"]},"{line["content"]}"' for line in runaway("bad")]
    (tmp_path / "runs.csv").write_text("\n".join(["id,who,what", *lines]) + "\n")
    maps = ["--map", "conversation_id=id", "--map", "sender=who", "--map", "content=what"]
    done = cli("check", "runs.csv", "--format", "csv", *maps, "-f", "github")
    assert done.code == 1, done.err
    assert re.search(r"^::error file=runs\.csv,line=\d+,", done.out, re.MULTILINE)
    assert cli("check", "runs.csv", "--format", "no-such").code == 2
    assert cli("check", "runs.csv", "--map", "sender").code == 2
