"""What an import costs: the package is light, and heavy libraries come only with what needs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

HEAVY = (
    "ag2",
    "agent_framework",
    "agents",
    "autogen",
    "autogen_agentchat",
    "autogen_core",
    "crewai",
    "genai_prices",
    "httpx2",
    "langchain_core",
    "langgraph",
    "networkx",
    "numpy",
    "rich",
    "sentence_transformers",
    "starlette",
    "structlog",
    "torch",
    "typer",
)


def loaded_by(program: str) -> list[str]:
    """Return which heavy libraries a fresh interpreter has loaded after `program`."""
    ask = f"\nimport json, sys\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", program + ask], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_the_check_sees_a_heavy_import() -> None:
    """The check is not blind."""
    assert "rich" in loaded_by("import rich")


def test_the_package_is_light() -> None:
    """``import agentbreaker`` loads no framework and no library that is needed later or never."""
    assert loaded_by("import agentbreaker") == []


def test_every_public_name_exists_and_using_the_engine_stays_light() -> None:
    """All names of ``__all__`` can be had, and having them loads nothing heavy either."""
    program = """
import agentbreaker
assert agentbreaker.__all__, "no public names"
assert len(set(agentbreaker.__all__)) == len(agentbreaker.__all__)
for name in agentbreaker.__all__:
    assert getattr(agentbreaker, name) is not None, name
    assert name in dir(agentbreaker), name
"""
    assert loaded_by(program) == []


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    """A typing error in a public name is reported as such."""
    program = """
import agentbreaker
try:
    agentbreaker.no_such_name
except AttributeError as error:
    assert "no_such_name" in str(error)
else:
    raise AssertionError("no error")
"""
    assert loaded_by(program) == []
