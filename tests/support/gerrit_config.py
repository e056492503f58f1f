"""A server.yml for the lab's Gerrit, and `torii` called in this process as a user would call it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from torii import cli
from torii.testing.gerrit import GerritSite


def server_yml(folder: Path, site: GerritSite, projects: Sequence[str], *, connection: str = "", rest: str = "", only: str = "") -> Path:
    """Write a server.yml with the connection `review` and these projects; return where it is.

    `connection` is said of the connection instead of what else would be; `only` names the pipelines that the projects take part in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = [line.strip() for line in connection.splitlines() if line.strip()]
    defaults = {
        "type": "gerrit",
        "url": site.url,
        "user": "torii",
        "password": f"file:{site.torii.password_file}",
        "ssh": f"127.0.0.1:{site.ssh_port}",
        "key": site.torii.key,
        "known-hosts": site.known_hosts,
    }
    named = {line.partition(":")[0] for line in given}
    lines = [*given, *(f"{key}: {value}" for key, value in defaults.items() if key not in named)]
    text = ["state: state", "gearman: {port: 0}", "web: {port: 0}", "connections:", "  review:", *(f"    {line}" for line in lines)]
    text += ["projects:", *(f"  {name}: {{connection: review{f', pipelines: [{only}]' if only else ''}}}" for name in projects), rest]
    path = folder / "server.yml"
    path.write_text("\n".join(text) + "\n")
    return path


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said, and how it ended."""

    status: int
    output: str
    errors: str

    def json(self) -> Any:
        return json.loads(self.output)


def torii(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Said:
    """Call `torii` with `arguments`."""
    capsys.readouterr()
    status = cli.run([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return Said(status, said.out, said.err)
