"""environment.yml: what conda, mamba and Binder make of it is what pyproject.toml asks for."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from rattler import MatchSpec
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = YAML(typ="safe").load(ROOT / "environment.yml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SPECS = [spec for spec in ENVIRONMENT["dependencies"] if isinstance(spec, str)]
# On conda-forge, graphviz is the program and python-graphviz what PyPI calls graphviz.
ONLY_CONDA = {"python", "pip", "graphviz"}
NAME_ON_PYPI = {"python-graphviz": "graphviz"}
# The rest comes through pip: not on conda-forge, or only for those who work on the project.
ONLY_PIP = {
    "axe-playwright-python",
    "graphviz-pure",
    "hypothesis",
    "jupyter-repo2docker",
    "mypy",
    "playwright",
    "py-rattler",
    "ruff",
    "types-greenlet",
}


def split(spec: str) -> tuple[str, str]:
    """('jupyterlab', '>=4.4,<5') for 'jupyterlab>=4.4,<5'."""
    name, versions = re.fullmatch(r"([\w-]+)(.*)", spec).groups()
    return name, versions


def requirements() -> dict[str, SpecifierSet]:
    lines = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    return {r.name: r.specifier for r in map(Requirement, lines)}


@pytest.mark.parametrize("spec", SPECS)
def test_conda_understands(spec):
    name = MatchSpec(spec, strict=True).name
    assert name is not None and name.normalized == split(spec)[0]


@pytest.mark.parametrize("spec", [spec for spec in SPECS if split(spec)[0] not in ONLY_CONDA])
def test_conda_gets_the_versions_that_pip_accepts(spec):
    name, versions = split(spec)
    assert SpecifierSet(versions) == requirements()[NAME_ON_PYPI.get(name, name)]


def test_conda_and_pip_name_the_same_packages():
    from_conda = {NAME_ON_PYPI.get(name, name) for name, _ in map(split, SPECS)} - ONLY_CONDA
    # The program graphviz and the package share a name; the package is there as python-graphviz.
    assert from_conda | {"graphviz"} == set(requirements()) - ONLY_PIP
    assert "python-graphviz" in dict(map(split, SPECS))


def test_condas_python_is_one_the_project_accepts():
    assert dict(map(split, SPECS))["python"].lstrip("=") in SpecifierSet(PROJECT["requires-python"])


def test_pip_installs_the_project_itself_and_the_rest():
    assert ENVIRONMENT["dependencies"][-1] == {"pip": ["-e .[test]"]}


@pytest.mark.skipif(os.name == "nt", reason="repo2docker does not run on Windows")
def test_repo2docker_copies_the_project_before_it_makes_the_environment():
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = finished.stdout + finished.stderr
    assert finished.returncode == 0, said
    # The other way round, pip finds no project to install in the environment.
    assert said.index(" src/ ${REPO_DIR}") < said.index("env update"), said
