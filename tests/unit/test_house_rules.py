"""The rules that every file of Torii keeps, checked here so that nobody has to remember them."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from torii.config.project import parse_torii_yml
from torii.model.job import ProjectConfig

ROOT = Path(__file__).resolve().parents[2]
ENTRIES = """
    torii job-templates jjb tests vagrant tox.ini setup.py pyproject.toml constraints.txt README.md LICENSE CHANGELOG.md
    CONTRIBUTING.md docs docs/decisions benchmarks .ci/run .gitignore torii.yml run
""".split()  # noqa: SIM905  # a list to read, not to punctuate
LONGEST_MODULE = 500
LONGEST_FUNCTION = 60
KNOW_EVERYONE = {"runtime", "cli", "testing", "demo"}  # what the import contract leaves free
SUPPLIED_BY = {"pydantic_core": "pydantic"}  # one comes with the other, on purpose


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in sorted((ROOT / folder).rglob("*.py")) if "__pycache__" not in path.parts)


def run_tool(*command: str) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    run_tool("-m", "ruff", "check", "--no-cache", "--output-format=concise", ".")


def test_every_file_is_formatted() -> None:
    run_tool("-m", "ruff", "format", "--check", "--no-cache", "--output-format=concise", ".")


@pytest.mark.timeout(300)
def test_mypy_is_content_in_strict_mode() -> None:
    run_tool("-m", "mypy")


def test_imports_keep_their_contract() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_has_an_import_contract() -> None:
    packages = {path.parent.name for path in (ROOT / "torii").glob("*/__init__.py")}
    contracts = set(re.findall(r"^package = torii\.(\w+)$", (ROOT / ".importlinter").read_text(), re.MULTILINE))
    assert packages - contracts == packages & KNOW_EVERYONE


def test_everything_at_the_top_level_is_there() -> None:
    assert [name for name in ENTRIES if not (ROOT / name).exists()] == []
    assert all(os.access(ROOT / script, os.X_OK) for script in ("run", ".ci/run"))


def test_toriis_own_torii_yml_is_right() -> None:
    assert isinstance(parse_torii_yml((ROOT / "torii.yml").read_bytes()), ProjectConfig)


def test_no_module_is_longer_than_it_may_be() -> None:
    lengths = {path.relative_to(ROOT): path.read_text().count("\n") for path in modules("torii", "tests", "benchmarks", "stubs")}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_every_function_fits_a_screen() -> None:
    too_long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in modules("torii")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert too_long == []


def test_tests_neither_mock_nor_sleep() -> None:
    forbidden = re.compile(r"^\s*(?:from|import) (?:unittest\.)?mock\b|^\s*from unittest import .*mock|\btime\.sleep\(", re.MULTILINE)
    assert [str(path.relative_to(ROOT)) for path in modules("tests") if forbidden.search(path.read_text())] == []


def test_nothing_is_left_to_do_later() -> None:
    marks = re.compile(r"#\s*(?:TODO|FIXME|XXX|HACK)\b")
    assert [str(path.relative_to(ROOT)) for path in modules("torii", "tests", "benchmarks") if marks.search(path.read_text())] == []


def test_everything_imported_is_a_declared_dependency() -> None:
    declared = {canonicalize_name(Requirement(line).name) for line in project()["dependencies"]}
    distributions = importlib.metadata.packages_distributions()
    undeclared = {
        f"{name} in {path.relative_to(ROOT)}"
        for path in modules("torii")
        for name in imported_by(path)
        if name != "torii" and name not in sys.stdlib_module_names
        if not declared & {canonicalize_name(found) for found in distributions.get(SUPPLIED_BY.get(name, name), [])}
    }
    assert undeclared == set()


def test_every_dependency_is_pinned_within_its_range() -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    tables = project()
    wanted = [Requirement(line) for extra in (tables["dependencies"], *tables["optional-dependencies"].values()) for line in extra]
    assert [str(one) for one in wanted if not one.specifier.contains(pins.get(canonicalize_name(one.name), ""), prereleases=True)] == []


@pytest.mark.needs("shellcheck")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(["shellcheck", "run", ".ci/run"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def imported_by(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
