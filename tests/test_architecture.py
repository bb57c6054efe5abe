"""The rules that keep the package readable, checked on the source of every module.

Imports only point down the layers, time comes from one module, nothing executes data, modules stay short, and
everything public says what it is for.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "agentbreaker"
MAX_LINES = 400

#: The layers, lowest first.  A module may import from its own layer and from those before it.  A name stands for the
#: module or for the package with all that is in it; a trailing star stands for every name that begins like this.
LAYERS: dict[str, tuple[str, ...]] = {
    "words": ("message", "verdict", "clock", "errors", "config", "printable", "intervals", "frequency*"),
    "measurement": (
        "detectors",
        "graph",
        "text",
        "novelty",
        "observation",
        "lexicon",
        "headers",
        "machine",
        "rounds",
        "artefacts",
        "embedding",
        "pricing",
        "tokens",
        "tokenizer",
        "currency",
        "accounting",
        "kernel",
        "_speed",
    ),
    "decisions": ("policy", "scoring", "breaker", "failure", "telemetry", "stores"),
    "wiring": (
        "guard",
        "conversation",
        "judgement",
        "registry",
        "reservation",
        "actions",
        "incident",
        "bus",
        "admission",
        "second_stage",
    ),
    "edges": (
        "integrations",
        "transcripts",
        "replay",
        "tallies",
        "parallel",
        "parallel_merge",
        "parallel_worker",
        "interrupt",
        "waste",
        "bench",
        "bench_figures",
        "bench_baseline",
        "scenario",
        "scenario_writer",
        "anonymise*",
        "check",
        "labels",
        "trails",
        "calibration",
        "tune",
        "tuned_policy",
        "report",
        "demo",
        "serve",
        "embedders",
    ),
    "entry": (
        "cli",
        "cli_files",
        "cli_replay",
        "cli_formats",
        "cli_tune",
        "cli_bench",
        "cli_check",
        "cli_report",
        "cli_scenario",
        "pytest_plugin",
        "pytest_run",
        "pytest_targets",
        "_entry",
        "__main__",
    ),
}
#: These may import anything; only the entry layer may import them.
FREE = ("__init__", "testing")
RANK = {layer: rank for rank, layer in enumerate(LAYERS)}

#: Modules that load code by name, each with its reason.
DYNAMIC_IMPORTS = {
    "agentbreaker": "public names are loaded when they are first used",
}
EXECUTES_DATA = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "runpy", "imp"}
EXECUTING_CALLS = {"eval", "exec", "compile", "__import__"}
YAML_LOADERS = {"load", "load_all", "unsafe_load", "unsafe_load_all", "full_load", "full_load_all"}
WALL_AND_MONOTONIC = {"time", "time_ns", "monotonic", "monotonic_ns"}
OTHER_TIMERS = {"perf_counter", "perf_counter_ns", "process_time", "process_time_ns", "thread_time", "thread_time_ns"}


def module_name(path: Path) -> str:
    """Dotted name of a file of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}


def layer_of(module: str) -> str | None:
    """Name of the layer of `module`, ``"free"``, or ``None`` where nobody has said."""
    top = "__init__" if module == PACKAGE else module.split(".")[1]
    if top in FREE:
        return "free"
    for layer, names in LAYERS.items():
        for name in names:
            if top == name or (name.endswith("*") and top.startswith(name[:-1])):
                return layer
    return None


def is_type_checking(test: ast.expr) -> bool:
    """Whether an ``if`` asks for ``TYPE_CHECKING``."""
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below `node` but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and is_type_checking(child.test):
            for alternative in child.orelse:
                yield alternative
                yield from runtime_nodes(alternative)
            continue
        yield child
        yield from runtime_nodes(child)


def imported(module: str, source: str, *, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Every module that `source` imports at run time, anywhere in it, with its line."""
    for node in runtime_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join(package[: len(package) - node.level + 1] + ([base] if base else []))
            for alias in node.names:
                # What is imported may be a module itself.
                full = f"{base}.{alias.name}"
                is_module = (
                    full in MODULES
                    or (base == PACKAGE and layer_of(full) is not None)
                    or full in {"importlib.metadata", "importlib.resources"}
                )
                yield node.lineno, full if is_module else base


def wrong_imports(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """Imports of `source` that do not point down."""
    own = layer_of(module)
    if own is None or own == "free":
        return []
    wrong = []
    for line, target in imported(module, source, is_package=is_package):
        if target != PACKAGE and not target.startswith(f"{PACKAGE}."):
            continue
        other = layer_of(target)
        rank = RANK["entry"] if other == "free" else RANK.get(other or "", -1)
        if rank > RANK[own]:
            wrong.append(f"{module}:{line} ({own}) imports {target} ({other})")
    return wrong


def dangerous(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """Places in `source` that could execute data, or that load code by name without leave."""
    found = []
    for line, target in imported(module, source, is_package=is_package):
        top = target.split(".")[0]
        if top in EXECUTES_DATA:
            found.append(f"{module}:{line} imports {target}")
        # Reading metadata and data files of a distribution executes nothing.
        harmless = target.startswith(("importlib.metadata", "importlib.resources"))
        if top == "importlib" and not harmless and module not in DYNAMIC_IMPORTS:
            found.append(f"{module}:{line} imports {target}; add the module to DYNAMIC_IMPORTS with its reason")
    for node in runtime_nodes(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        owner, _, attribute = called.rpartition(".")
        if called in EXECUTING_CALLS or (owner == "builtins" and attribute in EXECUTING_CALLS):
            found.append(f"{module}:{node.lineno} calls {called}()")
        if owner == "yaml" and attribute in YAML_LOADERS:
            found.append(f"{module}:{node.lineno} calls {called}(); use yaml.safe_load()")
        if attribute == "import_module" and module not in DYNAMIC_IMPORTS:
            found.append(f"{module}:{node.lineno} calls {called}()")
        found += [f"{module}:{node.lineno} allows pickle" for word in node.keywords if word.arg == "allow_pickle"]
    return found


def clock_reads(module: str, source: str) -> list[str]:
    """Places in `source` that read a clock although only ``clock`` may."""
    if module == f"{PACKAGE}.clock":
        return []
    layer = layer_of(module)
    # Benchmarks and reports may measure themselves; nothing below them may.
    strict = layer is not None and layer != "free" and RANK[layer] <= RANK["wiring"]
    banned = WALL_AND_MONOTONIC | OTHER_TIMERS if strict else WALL_AND_MONOTONIC
    found = []
    for node in runtime_nodes(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found += [f"{module}:{node.lineno} imports time.{x.name}" for x in node.names if x.name in {*banned, "*"}]
        if isinstance(node, ast.Import):
            found += [
                f"{module}:{node.lineno} renames time" for x in node.names if x.name == "time" and x.asname is not None
            ]
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = ast.unparse(node.value)
            if owner == "time" and node.attr in banned:
                found.append(f"{module}:{node.lineno} reads time.{node.attr}")
            is_date = owner in {"datetime", "datetime.datetime", "dt.datetime", "date", "datetime.date"}
            if is_date and (node.attr in {"utcnow", "utcfromtimestamp"} or (strict and node.attr in {"now", "today"})):
                found.append(f"{module}:{node.lineno} reads {owner}.{node.attr}")
    return found


def undocumented(module: str, source: str) -> list[str]:
    """Public modules, classes, functions and methods of `source` that have no docstring."""
    found: list[str] = []
    tree = ast.parse(source)

    def visit(node: ast.Module | ast.ClassDef, prefix: str) -> None:
        """Go through one body; what is inside functions is nobody's API."""
        for child in ast.walk(node) if isinstance(node, ast.Module) else node.body:
            if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if isinstance(node, ast.Module) and child not in top_level:
                continue
            decorators = {ast.unparse(decorator).split("(")[0] for decorator in child.decorator_list}
            if child.name.startswith("_") or any(
                name.endswith((".setter", ".deleter")) or name in {"overload", "typing.overload", "override"}
                for name in decorators
            ):
                continue
            if ast.get_docstring(child) is None:
                found.append(f"{prefix}.{child.name} (line {child.lineno})")
            if isinstance(child, ast.ClassDef):
                visit(child, f"{prefix}.{child.name}")

    # Definitions under a top-level ``if`` or ``try`` are public too.
    top_level = list(nodes_outside_definitions(tree))
    if not module.rpartition(".")[2].startswith("_") and ast.get_docstring(tree) is None:
        found.append(module)
    visit(tree, module)
    return found


def nodes_outside_definitions(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below `node`, without going into classes and functions."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from nodes_outside_definitions(child)


def over_all_modules(check: Callable[[str, str, bool], list[str]]) -> str:
    """Everything that `check` finds in the package, one line each."""
    found = []
    for module, path in MODULES.items():
        found += check(module, path.read_text("utf-8"), path.name == "__init__.py")
    return "\n".join(found)


def test_the_package_is_found() -> None:
    """The checks below look at something."""
    assert f"{PACKAGE}.message" in MODULES


def test_every_module_has_a_layer() -> None:
    """A new module must be given its place."""
    homeless = [module for module in MODULES if layer_of(module) is None]
    assert not homeless, (
        f"{', '.join(homeless)}: not in any layer. Decide what it may import, and add its name "
        f"to LAYERS in {Path(__file__).name}."
    )


def test_no_module_has_two_layers() -> None:
    """A name stands in one layer only."""
    names = [name for names in LAYERS.values() for name in names] + list(FREE)
    assert len(names) == len(set(names))


def test_imports_only_point_down() -> None:
    """No module knows of the layers above it."""
    wrong = over_all_modules(lambda module, source, package: wrong_imports(module, source, is_package=package))
    assert not wrong, f"imports must point down the layers:\n{wrong}"


def test_nothing_executes_data() -> None:
    """No pickle, no eval, no unsafe YAML, no loading of code by name."""
    found = over_all_modules(lambda module, source, package: dangerous(module, source, is_package=package))
    assert not found, f"data must never be executed:\n{found}"


def test_every_leave_is_used() -> None:
    """The list of modules that may load code by name holds no module that is gone."""
    assert set(DYNAMIC_IMPORTS) - {PACKAGE} <= set(MODULES)


def test_time_comes_from_the_clock() -> None:
    """Only ``clock`` reads the time; everyone else is told."""
    found = over_all_modules(lambda module, source, _: clock_reads(module, source))
    assert not found, f"take the time from an injected Clock:\n{found}"


def test_modules_are_short() -> None:
    """A module that outgrows the limit is two modules."""
    lengths = {module: len(path.read_text("utf-8").splitlines()) for module, path in MODULES.items()}
    long = {module: lines for module, lines in lengths.items() if lines > MAX_LINES}
    assert not long, f"over {MAX_LINES} lines: {long}"


def test_no_module_is_a_drawer() -> None:
    """A module is named after what it does."""
    drawers = {"utils", "util", "helpers", "common", "misc", "core"}
    assert not [module for module in MODULES if drawers & set(module.split("."))]


def test_everything_public_is_documented() -> None:
    """Every public module, class, function and method says what it is for."""
    found = over_all_modules(lambda module, source, _: undocumented(module, source))
    assert not found, f"no docstring:\n{found}"


def test_every_test_says_what_it_proves() -> None:
    """Each test function of this suite has a docstring."""
    silent = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            is_test = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
            if is_test and not ast.get_docstring(node):  # type: ignore[arg-type]
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")  # type: ignore[attr-defined]
    assert not silent, "a test without a docstring:\n" + "\n".join(silent)


@pytest.mark.parametrize(
    ("module", "source", "is_wrong"),
    [
        ("agentbreaker.message", "from agentbreaker.guard import Guard", True),
        ("agentbreaker.message", "import agentbreaker.guard", True),
        ("agentbreaker.message", "from agentbreaker import guard", True),
        ("agentbreaker.message", "from . import guard", True),
        ("agentbreaker.message", "from .guard import Guard", True),
        ("agentbreaker.message", "from agentbreaker import Guard", True),
        ("agentbreaker.message", "import agentbreaker", True),
        ("agentbreaker.message", "def f():\n    from agentbreaker.guard import Guard", True),
        ("agentbreaker.message", "try:\n    import agentbreaker.cli\nexcept ImportError:\n    pass", True),
        ("agentbreaker.message", "if TYPE_CHECKING:\n    pass\nelse:\n    from agentbreaker.guard import Guard", True),
        ("agentbreaker.detectors.cycle", "from ..policy import Policy", True),
        ("agentbreaker.detectors.cycle", "from agentbreaker.stores.memory import MemoryStore", True),
        ("agentbreaker.guard", "from agentbreaker.testing import FaultyStore", True),
        ("agentbreaker.message", "from agentbreaker.errors import ConfigError", False),
        ("agentbreaker.message", "if TYPE_CHECKING:\n    from agentbreaker.guard import Guard", False),
        ("agentbreaker.detectors.cycle", "from .base import Detector\nfrom ..graph import CallGraph", False),
        ("agentbreaker.guard", "from agentbreaker import breaker, policy", False),
        ("agentbreaker.cli", "from agentbreaker import Guard, __version__", False),
        ("agentbreaker.testing", "from agentbreaker.cli import main", False),
        ("agentbreaker", "from agentbreaker.cli import main", False),
    ],
)
def test_the_layer_rule_sees(module: str, source: str, is_wrong: bool) -> None:
    """The checker of the layers finds every way to import, and only what points up."""
    assert bool(wrong_imports(module, source)) is is_wrong


def test_an_unknown_module_has_no_layer() -> None:
    """A module that nobody has placed is noticed, whatever its neighbours are."""
    assert layer_of("agentbreaker.helpers") is None
    assert layer_of("agentbreaker.messages") is None
    assert layer_of("agentbreaker.frequency_table") == "words"
    assert layer_of("agentbreaker.detectors.cycle") == "measurement"


@pytest.mark.parametrize(
    ("source", "is_wrong"),
    [
        ("import pickle", True),
        ("from marshal import loads", True),
        ("eval('1')", True),
        ("exec(code)", True),
        ("import builtins\nbuiltins.exec(code)", True),
        ("import yaml\nyaml.load(text)", True),
        ("import importlib", True),
        ("from importlib import import_module", True),
        ("import importlib.metadata\nimportlib.import_module('os')", True),
        ("numpy.load(path, allow_pickle=True)", True),
        ("import yaml\nyaml.safe_load(text)", False),
        ("import re\nre.compile('a')", False),
        ("from importlib.metadata import version", False),
        ("from importlib import resources", False),
        ("model.eval()", False),
    ],
)
def test_the_ban_of_execution_sees(source: str, is_wrong: bool) -> None:
    """The checker finds what executes data, and leaves its harmless namesakes alone."""
    assert bool(dangerous("agentbreaker.guard", source)) is is_wrong


@pytest.mark.parametrize(
    ("module", "source", "is_wrong"),
    [
        ("agentbreaker.guard", "import time\ntime.time()", True),
        ("agentbreaker.guard", "import time\nnow = time.monotonic", True),
        ("agentbreaker.guard", "from time import monotonic", True),
        ("agentbreaker.guard", "import time as t\nt.time()", True),
        ("agentbreaker.guard", "import time\ntime.perf_counter()", True),
        ("agentbreaker.guard", "from datetime import datetime\ndatetime.now()", True),
        ("agentbreaker.bench", "import datetime\ndatetime.datetime.utcnow()", True),
        ("agentbreaker.bench", "import time\ntime.monotonic()", True),
        ("agentbreaker.bench", "import time\ntime.perf_counter()", False),
        ("agentbreaker.guard", "import time\ntime.sleep(1)", False),
        ("agentbreaker.guard", "self.clock.now()", False),
        ("agentbreaker.clock", "import time\ntime.monotonic()", False),
    ],
)
def test_the_clock_rule_sees(module: str, source: str, is_wrong: bool) -> None:
    """The checker finds every reading of a clock, and not the injected one."""
    assert bool(clock_reads(module, source)) is is_wrong


def test_the_docstring_rule_sees() -> None:
    """The checker finds what is public and silent, and asks nothing of the rest."""
    source = '''"""A module."""
class Loud:
    """A class."""
    def silent(self): ...
    def _private(self): ...
    def __len__(self): ...
    @property
    def size(self):
        """A property."""
    @size.setter
    def size(self, value): ...
class _Private:
    def silent(self): ...
if True:
    def conditional(): ...
def outer():
    """A function."""
    def inner(): ...
'''
    assert undocumented("agentbreaker.sample", source) == [
        "agentbreaker.sample.Loud.silent (line 4)",
        "agentbreaker.sample.conditional (line 15)",
    ]
    assert undocumented("agentbreaker.sample", "x = 1") == ["agentbreaker.sample"]
