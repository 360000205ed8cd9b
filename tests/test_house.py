"""The layers of the house, read from the imports: each module imports only from below."""

import ast
from pathlib import Path

import pytest

import etl

ROOT = Path(etl.__file__).parent
LONGEST_MODULE = 400

LAYERS = {
    "etl.models": 0,
    "etl.errors": 0,
    "etl.config": 0,
    "etl.clock": 0,
    "etl.events": 0,
    "etl.credentials": 0,
    "etl.input": 0,
    "etl.invocation": 0,
    "etl.urls": 0,
    "etl.wording": 0,
    "etl.api.decoding": 1,
    "etl.api.errors": 1,
    "etl.api.proxies": 1,
    "etl.api.bodies": 1,
    "etl.api.rate_limit": 1,
    "etl.api.clock_skew": 1.5,
    "etl.api.waits": 1.5,
    "etl.api.connections": 1.5,
    "etl.planning": 1,
    "etl.privacy": 1,
    "etl.api.transport": 1.75,
    "etl.api.client": 2,
    "etl.api.credentials": 2,
    "etl.store": 2,
    "etl.sync": 3,
    "etl.analytics": 3,
    "etl.service": 4,
    "etl.cli": 5,
    "etl.__main__": 5,
}
GROUND = ("etl", "etl.api")
"""They hold the version and a docstring, and stand beneath everything."""

PURE = (
    "etl.models",
    "etl.errors",
    "etl.planning",
    "etl.privacy",
    "etl.analytics.figures",
    "etl.analytics.lake.compare",
    "etl.api.decoding",
    "etl.api.errors",
    "etl.api.credentials.oauth_tokens",
    "etl.service.monitor.readiness",
    "etl.store.schema.session_settings",
    "etl.store.write.diff",
    "etl.sync.walks.page_batch",
)
OUTSIDE = {
    "httpx",
    "sqlalchemy",
    "socket",
    "threading",
    "time",
    "os",
    "random",
    "sqlite3",
    "logging",
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports(module: str) -> set[str]:
    """Every name that a module imports, wherever in it; `from a import b` counts as `a.b`."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def own_imports(module: str) -> set[str]:
    """The modules of the house that a module imports, by their full names."""
    names = {name for name in imports(module) if is_within(name, "etl")}
    return {name if name in MODULES else name.rpartition(".")[0] for name in names}


def layer(module: str) -> float | None:
    """The layer a module is in; None on the ground."""
    on = [level for package, level in LAYERS.items() if is_within(module, package)]
    assert on or module in GROUND, f"{module} is in no layer: give it one in LAYERS"
    return on[0] if on else None


def home(module: str) -> str:
    """The package of LAYERS that a module belongs to."""
    return next((package for package in LAYERS if is_within(module, package)), module)


HOUSE = [module for module in MODULES if not is_within(module, "etl.simulator")]
SIMULATOR = [module for module in MODULES if is_within(module, "etl.simulator")]


@pytest.mark.parametrize("module", HOUSE)
def test_a_module_imports_only_from_the_floors_below(module: str) -> None:
    level = layer(module)
    for other in own_imports(module):
        if is_within(other, "etl.simulator") or other in GROUND or home(other) == home(module):
            continue
        above = layer(other)
        assert level is not None, f"{module} is the ground and imports {other}"
        assert above is not None
        assert above < level or (above == level and level in (0, 4, 5)), f"{module} -> {other}"


def test_sync_imports_no_scheduler() -> None:
    assert "etl.service.scheduler" not in own_imports("etl.service.runs")


@pytest.mark.parametrize("module", SIMULATOR)
def test_the_simulator_knows_nothing_of_the_house(module: str) -> None:
    assert {
        other for other in own_imports(module) if not is_within(other, "etl.simulator")
    } == set()


def test_only_the_demo_starts_the_simulator() -> None:
    users = {
        module
        for module in HOUSE
        if any(is_within(other, "etl.simulator") for other in own_imports(module))
    }

    assert users <= {"etl.cli.start.demo"}


@pytest.mark.parametrize("module", [m for m in HOUSE if any(is_within(m, p) for p in PURE)])
def test_the_pure_floors_touch_neither_world_nor_clock(module: str) -> None:
    assert {name.split(".")[0] for name in imports(module)} & OUTSIDE == set()
    calls = {
        ast.unparse(node.func) for node in ast.walk(tree(module)) if isinstance(node, ast.Call)
    }
    assert not calls & {"datetime.now", "datetime.utcnow", "date.today", "open", "print"}


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_too_long(module: str) -> None:
    lines = len(MODULES[module].read_text(encoding="utf-8").splitlines())

    assert lines <= LONGEST_MODULE, f"{module} has {lines} lines"


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "misc"}

    assert not drawers & {part for module in MODULES for part in module.split(".")}


MOST_FILES = 12


@pytest.mark.parametrize("folder", sorted({path.parent for path in MODULES.values()}))
def test_no_folder_holds_more_than_a_dozen_files(folder: Path) -> None:
    files = [
        path.name for path in folder.iterdir() if path.is_file() and path.name != "__init__.py"
    ]

    assert len(files) <= MOST_FILES, f"{folder.name} holds {len(files)} files"


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {module: own_imports(module) - {module} for module in MODULES}
    while free := {module for module, needs in left.items() if not needs & left.keys()}:
        left = {module: needs for module, needs in left.items() if module not in free}

    assert sorted(left) == []
