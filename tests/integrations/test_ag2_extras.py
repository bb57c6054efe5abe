"""The integrations of AG2 where AG2 is not installed, or the other one is."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "framework", "extra"), [("ag2", "ag2", "ag2"), ("ag2_classic", "autogen", "ag2-classic")]
)
def test_a_missing_framework_is_named_with_its_extra(module: str, framework: str, extra: str) -> None:
    """The import fails with the command that helps."""
    program = f"""
import sys
sys.modules[{framework!r}] = None
try:
    import agentbreaker.integrations.{module}
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert f'pip install "agentbreaker[{extra}]"' in done.stdout
