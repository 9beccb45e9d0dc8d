"""The house: imports go down its floors only, and every public thing says what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pfncache_lab"
FLOORS = {
    "sim": 0,
    "explore": 1,
    "mm": 1,
    "kvm": 2,
    "viz": 3,
    "course": 4,
    "notebooks": 5,
    "documents": 5,
    "cli": 6,
    "__main__": 7,
    "__init__": 7,
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def place(module: Path) -> str:
    """The floor or the file at the top that a module belongs to: 'sim', 'cli'."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_places(module: Path) -> list[tuple[int, str]]:
    """List (line, floor) of each import of our own package, however it is spelled."""
    package = ["pfncache_lab", *module.relative_to(PACKAGE).parts[:-1]]
    found = []
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            path = [*base, *(node.module or "").split(".")] if node.module else base
            names = [path + [alias.name] for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        else:
            continue
        for name in names:
            if name[0] == "pfncache_lab" and len(name) > 1:
                found.append((node.lineno, name[1] if name[1] in FLOORS else "__init__"))
    return found


def test_every_module_is_on_a_floor():
    assert {place(module) for module in MODULES} == set(FLOORS)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_go_down_the_floors_only(module):
    here = place(module)
    for line, there in imported_places(module):
        allowed = FLOORS[there] <= FLOORS[here] or there == "__init__" and _version(module, line)
        assert allowed, f"{module.name}:{line}: {here} must not import {there}"


def _version(module: Path, line: int) -> bool:
    """The number of the version is the one thing that the floors may ask the roof for."""
    return module.read_text("utf-8").splitlines()[line - 1].strip().endswith("import __version__")


def test_the_reader_of_imports_is_not_blind():
    """Goal: the test above can fail. Method: a known arrow of each spelling is seen."""
    lesson = PACKAGE / "course" / "lessons" / "lesson_00.py"
    assert {"explore", "sim", "course"} <= {there for _, there in imported_places(lesson)}
    assert ("notebooks") in {there for _, there in imported_places(PACKAGE / "cli.py")}


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_a_module_is_small_and_says_what_it_is(module):
    text = module.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text))
    # A lesson is data, and may be longer; so may what mirrors one whole file of the kernel.
    longer = "lessons" in module.parts or module.name in ("pfncache.py", "v5_17.py")
    assert len(text.splitlines()) <= (500 if longer else 300)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_a_function_fits_on_a_screen(module):
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 40, node.name
