"""The GitHub workflow and the GitLab job of the README: they parse, and the commands in them do what is said."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.conftest import Cli
from tests.scenario_folders import quiet, runaway, save, scenario_set

yaml = pytest.importorskip("yaml")
README = Path(__file__).resolve().parents[1] / "README.md"


def example(name: str) -> Any:
    """A YAML file that the README shows."""
    match = re.search(
        rf"^```yaml file={re.escape(name)}\n(.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert match is not None, name
    return yaml.safe_load(match[1])


def runs(folder: Path, *, loop: bool) -> None:
    """Recorded runs and a policy, as in the repository of a user."""
    save(folder / "runs" / "a.jsonl", runaway("bad") if loop else quiet("good"))
    (folder / "prod.toml").write_text("[ladder]\nhalt = 4\n")


def test_the_workflow_is_one() -> None:
    """It has the shape that GitHub asks for: triggers, the least permissions, and steps that use or run something."""
    workflow = example(".github/workflows/agentbreaker.yml")
    # YAML 1.1 reads the key `on` as a truth value; GitHub does not.
    assert workflow.keys() == {"name", True, "permissions", "jobs"}
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert {"runs-on", "steps"} <= job.keys()
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])


@pytest.mark.parametrize("loop", [False, True])
def test_the_commands_of_the_workflow_run(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: bool
) -> None:
    """On runs that get somewhere all pass; on a runaway the check fails, with annotations and a summary."""
    runs(tmp_path, loop=loop)
    monkeypatch.setattr("agentbreaker.scenario.shipped", lambda: scenario_set(tmp_path / "set"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert cli("bench", "--baseline", "agentbreaker-bench.json", "--update-baseline").code == 0
    steps = [
        step["run"] for step in example(".github/workflows/agentbreaker.yml")["jobs"]["check"]["steps"] if "run" in step
    ]
    commands = [shlex.split(step) for step in steps]
    assert commands.pop(0) == ["pip", "install", "agentbreaker"]
    assert [command[:2] for command in commands] == [["agentbreaker", "check"], ["agentbreaker", "bench"]]
    codes = [cli(*command[1:]) for command in commands]
    assert [done.code for done in codes] == [1 if loop else 0, 0], codes
    assert ("::error file=runs/a.jsonl" in codes[0].out) is loop
    assert (tmp_path / "summary.md").read_text("utf-8").startswith("#")


def test_the_step_for_code_scanning_runs(cli: Cli, tmp_path: Path) -> None:
    """The other step that the README shows is a list of steps, and writes the file that it uploads."""
    match = re.search(r"^```yaml no-test\n(      - run: .*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert match is not None
    check, upload = yaml.safe_load(match[1])
    runs(tmp_path, loop=True)
    assert cli(*shlex.split(check["run"])[1:]).code == 1
    assert json.loads((tmp_path / upload["with"]["sarif_file"]).read_text("utf-8"))["version"] == "2.1.0"


@pytest.mark.skipif(os.name != "posix", reason="GitLab runs the script in a shell")
@pytest.mark.parametrize("loop", [False, True])
def test_the_job_of_gitlab_runs(tmp_path: Path, loop: bool) -> None:
    """Its script, run as GitLab does, ends with the worst status and leaves both reports in any case."""
    runs(tmp_path, loop=loop)
    (job,) = example(".gitlab-ci.yml").values()
    assert job.keys() == {"image", "script", "artifacts"}
    lines = job["script"]
    assert lines[0] == "pip install agentbreaker"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    script = "\n".join(["set -eo pipefail", *lines[1:]])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == (1 if loop else 0), done.stderr
    reports = job["artifacts"]["reports"]
    assert len(json.loads((tmp_path / reports["codequality"]).read_text("utf-8"))) == (1 if loop else 0)
    root = ElementTree.parse(tmp_path / reports["junit"]).getroot()  # noqa: S314 - we wrote it
    assert (root.find(".//failure") is not None) is loop
