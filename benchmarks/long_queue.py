"""A gate with a long queue: items that wait, a window of them under test. No git, no network; answers come from a forge in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from torii.config.server import gate_config, parse_server
from torii.config.settings import ServerConfig
from torii.model.build import Result
from torii.model.event import BranchMoved, Event
from torii.model.ids import ChangeId, ProjectName
from torii.model.pipeline import Window
from torii.testing.lab import Lab

WINDOW = 20
"""The window, which neither grows nor shrinks: so a long queue has as many items under test as a short one."""
APP = ProjectName("app")
TORII_YML = "jobs:\n  unit: {run: make}\n  lint: {run: make lint}\npipelines:\n  gate: [lint, unit]\n"


class LongQueue:
    """`length` approved changes in the pipeline `gate`; `turn` merges the first and lets another join, so that they stay as many."""

    def __init__(self, length: int) -> None:
        server = parse_server(json.dumps({"projects": {APP: {"url": "/srv/git/app.git"}}}).encode(), "server.yml", Path("/"))
        assert isinstance(server, ServerConfig), server
        config = gate_config(server, "bench")
        fixed = Window(WINDOW, WINDOW, WINDOW)
        self.lab = Lab(replace(config, pipelines=tuple(replace(spec, window=fixed) for spec in config.pipelines if spec.name == "gate")))
        self._made = 0
        self._merged = 0
        self.lab.feed(self.lab.forge.create_branch(APP, "main", {"torii.yml": TORII_YML}))
        self.lab.settle()
        for _ in range(length):
            self.lab.feed(self.join())
        self.lab.settle()

    def join(self) -> Event:
        """Return the news of another change, which is approved."""
        change = ChangeId(f"app:main/c{self._made}")
        self._made += 1
        forge = self.lab.forge
        forge.push_change(change, APP, "main", {f"{change}.txt": "new"})
        return forge.approve(change)

    def turn(self) -> None:
        """Let a change join at the tail, the builds of the head end, and the head be merged, with all that follows."""
        lab = self.lab
        lab.feed(self.join())
        head = ChangeId(f"app:main/c{self._merged}")
        for held in [held for held in lab.running() if held.request.change == head]:
            lab.end(held.request.id, Result.SUCCESS)
        lab.settle()
        self._merged += 1
        assert head in lab.forge.merged, f"{head} was not merged: {lab.items}"
        self._forget()

    def _forget(self) -> None:
        # What the lab keeps for stories to look at would have every later turn search through it.
        lab = self.lab
        lab.builds = {number: held for number, held in lab.builds.items() if held.result is None}
        lab.decisions.clear()
        lab.items.clear()

    def echo(self) -> Event:
        """Return news of the branch that the gate knows already."""
        tip = self.lab.forge.branches[APP, "main"]
        return BranchMoved(APP, "main", tip, tip, f"echo-{self._made}", None)
