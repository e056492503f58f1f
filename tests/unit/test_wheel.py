"""What `pip install .` installs: built here without a network, looked into, and put to use away from the clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import torii

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("torii", "job-templates", "jjb", "pyproject.toml", "setup.py", "README.md", "LICENSE")
LEFT_OVERS = shutil.ignore_patterns("__pycache__", "*.pyc")


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel made from a copy of the clone in which an earlier build left a file that is no more."""
    folder = tmp_path_factory.mktemp("wheel")
    clone = folder / "clone"
    clone.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, clone / name, ignore=LEFT_OVERS)
        else:
            shutil.copy(ROOT / name, clone / name)
    stale = clone / "build" / "lib" / "torii" / "gone.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, clone)
    (built,) = folder.glob("torii-*.whl")
    return built


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    metadata = {name for name in held if ".dist-info/" in name}
    carried = {f"torii/_data/{name}" for name in files(ROOT / "job-templates") | files(ROOT / "jjb")}
    assert held - metadata == files(ROOT / "torii") | carried
    assert any(name.endswith("licenses/LICENSE") for name in metadata)


def test_the_installed_package_finds_what_it_carries(wheel: Path, tmp_path: Path) -> None:
    pip("install", "--no-deps", "--no-compile", "--target", tmp_path / "site", wheel)
    script = "import torii, torii.resources as r; print(torii.__version__, r.job_templates(), r.jjb(), sep='\\n')"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    data = tmp_path / "site" / "torii" / "_data"
    assert done.stdout.split("\n") == [torii.__version__, str(data / "job-templates"), str(data / "jjb"), ""]


def test_the_command_is_named_torii() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"] == {"torii": "torii.cli:main"}


def test_jenkins_job_builder_runs_and_not_just_imports(tmp_path: Path) -> None:
    """With setuptools 82 and later it imports but finds none of its subcommands."""
    (tmp_path / "jobs.yaml").write_text("- job:\n    name: smoke\n    builders:\n      - shell: 'true'\n")
    command = [str(Path(sys.executable).with_name("jenkins-jobs")), "test", "jobs.yaml", "-o", "made"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "<command>true</command>" in (tmp_path / "made" / "smoke").read_text()
