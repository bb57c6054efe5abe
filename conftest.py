"""Modules that pytest has to leave alone where the framework that they are for is not installed."""

from __future__ import annotations

from importlib.util import find_spec

#: Files that import a framework at their top, by the module that has to be there.
_NEEDS = {
    "ag2": (
        "agentbreaker/integrations/_ag2_hub.py",
        "agentbreaker/integrations/_ag2_turn.py",
        "agentbreaker/integrations/ag2.py",
        "tests/integrations/ag2_agents.py",
    ),
    "autogen": ("agentbreaker/integrations/ag2_classic.py",),
}

collect_ignore = [file for module, files in _NEEDS.items() if find_spec(module) is None for file in files]
