"""No test file drops out in silence: pytest is told to pass over modules whose framework is missing."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
FILES = sorted(path.relative_to(TESTS.parent) for path in TESTS.rglob("test_*.py"))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_test_file_can_be_imported_or_says_why_it_is_skipped(file: Path) -> None:
    """An import that fails is a failure, not a file without tests."""
    try:
        importlib.import_module(".".join(file.with_suffix("").parts))
    except pytest.skip.Exception as skipped:
        pytest.skip(str(skipped))
