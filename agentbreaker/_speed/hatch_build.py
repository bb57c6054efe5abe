"""Build hook: compile the optional extension where that can be done, and go on without it where it cannot.

Nothing is written into the checkout.  The extension is built in a temporary directory and enters the wheel, an
editable one too, as the top-level module ``_agentbreaker_speed``; this folder itself stays out of the wheel.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NAME = "_agentbreaker_speed"
_SOURCE = Path(__file__).with_name(f"{_NAME}.c")


class SpeedHook(BuildHookInterface):
    """Adds the compiled extension to a wheel; never fails."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; on success the wheel is one for this platform, for CPython 3.11 and all later ones."""
        if self.target_name != "wheel":
            return
        try:
            self._directory = tempfile.TemporaryDirectory(prefix="agentbreaker-", ignore_cleanup_errors=True)
            reason = _cannot_compile()
            extension = _compile(Path(self._directory.name)) if reason is None else None
        except (Exception, SystemExit) as error:
            reason, extension = f"{type(error).__name__}: {error}".splitlines()[0][:120], None
        if extension is None:
            self.app.display_warning(f"agentbreaker: building without the compiled kernel ({reason}); Python serves")
            return
        # Without a tag in its name, no other Python than one of the stable ABI would look for it.
        inside = f"{_NAME}.pyd" if os.name == "nt" else f"{_NAME}.abi3.so"
        build_data["force_include"][str(extension)] = inside
        # What is set here replaces what the configuration lists for an editable wheel.
        editable = build_data["force_include_editable"]
        editable.update(self.build_config.get_force_include())
        editable[str(extension)] = inside
        build_data["pure_python"] = False
        platform = self.build_config.builder.get_best_matching_tag().split("-", 2)[2]
        build_data["tag"] = f"cp311-abi3-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary directory."""
        directory = getattr(self, "_directory", None)
        if directory is not None:
            directory.cleanup()


def _cannot_compile() -> str | None:
    """Why it is not even tried, if so."""
    if os.environ.get("AGENTBREAKER_PURE", "") not in {"", "0"}:
        return "AGENTBREAKER_PURE is set"
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} is not CPython"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this Python has no GIL"
    return None


def _compile(directory: Path) -> Path:
    """Compile into `directory`; return the extension."""
    from setuptools import Distribution, Extension

    extension = Extension(_NAME, [str(_SOURCE)], py_limited_api=True)
    distribution = Distribution({"name": _NAME, "ext_modules": [extension]})
    command = distribution.get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(directory / "lib"), str(directory / "temp")
    distribution.run_command("build_ext")
    built = [path for path in (directory / "lib").iterdir() if path.suffix in {".so", ".pyd"}]
    if len(built) != 1:
        raise RuntimeError("the compiler left no extension")
    return built[0]
