"""A store and blobs as a busy afternoon leaves them, and changes to them while somebody looks: what the pages are tested with."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from torii.model.build import FileComment, Result, TestSummary
from torii.model.ids import BuildId, BuildSetId, ChangeId, ItemId, PipelineName, ProjectName, QueueName, Sha
from torii.model.pipeline import Manager, PipelineSpec
from torii.model.view import BuildView, Decision, ItemView, Records
from torii.results import layout
from torii.results.record import BuildRecord, encode
from torii.store.store import Store, open_store

PIPELINES = (
    PipelineSpec(PipelineName("check"), Manager.INDEPENDENT, description="Each new change, merged alone onto its branch."),
    PipelineSpec(PipelineName("gate"), Manager.DEPENDENT, description="Approved changes, each tested on top of those ahead, then merged."),
    PipelineSpec(PipelineName("post"), Manager.SUPERCEDENT, description="What runs after a merge."),
)
REVIEW = "https://review.example.com/c/app/+/12"
HOSTILE = '<script>document.title="owned"</script><img src=x onerror=document.title="owned"> "quoted" \u202egnp.exe\x1b[31m'


def build_id(name: str) -> BuildId:
    """The same UUID for the same name, always."""
    return BuildId(str(uuid.uuid5(uuid.NAMESPACE_URL, f"http://torii.example.com/{name}")))


def commit(name: str) -> Sha:
    return Sha(uuid.uuid5(uuid.NAMESPACE_URL, name).hex + "0f6b1c2d")


class Afternoon:
    """Writes rows and blobs, as the scheduler and a worker would. Times count back from now."""

    def __init__(self, path: Path) -> None:
        self.store: Store = open_store(path / "torii.db", path / "blobs")
        self.blobs = self.store.blobs
        self.now = time.time()
        self.items: dict[str, ItemView] = {}
        self.builds: dict[str, BuildView] = {}

    def close(self) -> None:
        self.store.close()

    def item(self, number: int, change: str, title: str, *, ago: float = 60.0, **more: Any) -> ItemView:
        """Write an item called `k3f9-<number>`: in the gate and building, unless told otherwise."""
        name = f"k3f9-{number}"
        fields: dict[str, Any] = {
            "pipeline": PipelineName("gate"),
            "queue": QueueName("integrated"),
            "project": ProjectName(change.partition(":")[0]),
            "branch": "main",
            "patchset": commit(change),
            "owner": "dev@example.com",
            "state": "building",
            "reason": "",
            "outcome": "",
            "position": number,
            "build_set": BuildSetId(f"{name}.1"),
            "built_on": (),
            "commit": commit(f"{change} merged"),
            "enqueued_at": self.now - ago,
            "left_at": None,
            **more,
        }
        item = ItemView(id=ItemId(name), change=ChangeId(change), title=title, **fields)
        self.put(item)
        return item

    def build(self, item: ItemView, job: str, state: str = "running", *, ago: float = 30.0, **more: Any) -> BuildView:
        """Write a build of the item's present build set."""
        started = None if state in ("waiting", "queued") else self.now - ago
        fields: dict[str, Any] = {
            "attempt": 1,
            "voting": True,
            "result": None,
            "reason": "",
            "node": "" if started is None else "worker-1",
            "requested_at": None if state == "waiting" else self.now - ago - 1,
            "started_at": started,
            "ended_at": None,
            "duration": None,
            "tests": None,
            "build_set": item.build_set,
            **more,
        }
        if state == "done" and fields["duration"] is None and started is not None:
            fields |= {"duration": ago / 2, "ended_at": started + ago / 2}
        build = BuildView(
            id=build_id(f"{fields['build_set']}/{job}/{fields['attempt']}"), item=item.id, job=job, state=state, url=None, **fields
        )
        self.put(build)
        return build

    def put(self, *values: ItemView | BuildView | Decision) -> None:
        """Write rows as they now are."""
        items = tuple(value for value in values if isinstance(value, ItemView))
        builds = tuple(value for value in values if isinstance(value, BuildView))
        decisions = tuple(value for value in values if isinstance(value, Decision))
        self.items |= {item.id: item for item in items}
        self.builds |= {build.id: build for build in builds}
        self.store.append([], Records(items, builds, decisions))

    def decide(self, item: ItemView, *texts: str, ago: float = 50.0) -> None:
        self.put(*(Decision(self.now - ago + 5 * number, item.change, item.pipeline, item.id, text) for number, text in enumerate(texts)))

    def leave(self, item: ItemView, outcome: str, reason: str, *, ago: float = 0.0) -> ItemView:
        gone = replace(item, state="done", outcome=outcome, reason=reason, position=None, left_at=time.time() - ago)
        self.put(gone)
        return gone

    def log(self, build: BuildView, text: str | bytes) -> None:
        """Add to the build's console log."""
        with self.blobs.append(layout.console(build.id)) as writer:
            writer.write(text if isinstance(text, bytes) else text.encode())

    def end(self, build: BuildView, result: Result, artifacts: dict[str, bytes] | None = None, **more: Any) -> BuildView:
        """End a build: artifacts, record and row, in the order in which a worker and the scheduler write them."""
        for path, content in (artifacts or {}).items():
            self.blobs.put(layout.artifact(build.id, path), content)
        ended, tests = time.time(), more.get("tests")
        duration = ended - (build.started_at or ended)
        comments = more.pop("comments", ())
        reason = more.get("reason", "")
        record = BuildRecord(result, build.started_at, ended, duration, reason, tests, tuple(artifacts or {}), "worker-1", comments)
        self.blobs.put(layout.record(build.id), encode(record))
        done = replace(build, state="done", result=result, ended_at=ended, duration=duration, **more)
        self.put(done)
        return done


def fill(afternoon: Afternoon) -> None:
    """A failure in the gate, a change re-tested without it, checks on the way, and what left before."""
    a = afternoon.item(
        1, "app:main/fix-login", "Refuse empty passwords", ago=180, url=REVIEW, reason="Its builds run on top of main at 0f6b1c2d."
    )
    afternoon.build(a, "lint", "done", ago=120, result=Result.SUCCESS)
    unit = afternoon.build(a, "unit", ago=95)
    afternoon.build(a, "docs", "waiting", voting=False, reason="It waits for unit.")
    afternoon.log(unit, COLOURFUL)
    b = afternoon.item(
        2, "app:main/new-cache", "Cache sessions in memory, with an upper limit", ago=150, state="failing", built_on=(a.change,),
        reason="unit failed on top of app:main/fix-login. It is reported when everything ahead of it has merged or left.",
    )  # fmt: skip
    afternoon.build(b, "lint", "done", ago=110, result=Result.SUCCESS)
    failed = afternoon.build(b, "unit", ago=100)
    afternoon.log(failed, COLOURFUL + FAILURES)
    failing = tuple(f"tests.test_cache.TestLimit.test_{name}" for name in ("evicts_the_oldest", "keeps_the_newest", "counts_bytes[utf-8]"))
    tests = TestSummary(128, 7, 2, failing)
    artifacts = {"report.xml": b"<testsuite/>", "dist/app-1.0.tar.gz": b"x" * 34567}
    afternoon.end(failed, Result.FAILURE, artifacts, tests=tests, reason="7 tests failed", comments=COMMENTS)
    c = afternoon.item(
        3, "web:main/dark-mode", "Follow the system's dark mode", ago=120, built_on=(a.change,), build_set=BuildSetId("k3f9-3.2"),
        reason="It is tested again without app:main/new-cache, which failed ahead of it.",
    )  # fmt: skip
    for job in ("lint", "unit"):
        afternoon.build(
            c, job, "done", ago=80, result=Result.CANCELED, build_set=BuildSetId("k3f9-3.1"), reason="A change ahead of it failed."
        )
    afternoon.build(c, "lint", "running", ago=8)
    afternoon.build(c, "unit", "queued")
    afternoon.decide(
        c, "It joined the queue integrated behind app:main/new-cache, since it was approved by dev@example.com.",
        "Its builds start on top of app:main/fix-login and app:main/new-cache.",
        "app:main/new-cache ahead of it failed (unit): it is tested again without it, on top of app:main/fix-login.",
    )  # fmt: skip
    afternoon.item(
        4, "web:main/footer", "Shorten the footer", ago=20, state="merging", build_set=None, commit=None, reason="Its merge is being made."
    )
    d = afternoon.item(
        5, "app:main/big-refactor", "Split the session module into reading and writing", pipeline=PipelineName("check"),
        queue=QueueName("app:main/big-refactor"), ago=40,
    )  # fmt: skip
    for cell in ("3.11", "3.12", "3.13"):
        afternoon.build(d, f"unit-py{cell}", "running", ago=12)
    afternoon.build(d, "lint", "done", ago=30, result=Result.SUCCESS)
    afternoon.build(
        d, "integration-with-a-very-long-name-that-somebody-thought-of", "queued", reason="No worker with the label big is free."
    )
    e = afternoon.item(
        6, "app:main/hostile", HOSTILE, pipeline=PipelineName("check"), queue=QueueName("hostile"), owner=HOSTILE, reason=HOSTILE, ago=35
    )
    afternoon.build(e, HOSTILE, "running", reason=HOSTILE)
    before = (
        (7, "app:main/typo", "Mend a typo in the README", "merged", "Merged as 4c7a3b1e.", 300.0),
        (8, "web:main/icons", "New icons", "merge conflict", "static/icons.svg clashes with web:main/logo.", 900.0),
        (9, "app:main/config", "Run the linter first", "configuration error", "torii.yml:14:5 jobs.unit.votng: unknown key", 4000.0),
        (10, "app:main/slow", "Look up hosts in parallel", "failure", "unit failed on top of main.", 8000.0),
        (11, "app:main/old", "An older patch set", "dequeued", "A new patch set took its place.", 90000.0),
    )
    for number, change, title, outcome, reason, ago in before:
        gone = afternoon.item(number, change, title, ago=ago + 100, pipeline=PipelineName("check"))
        afternoon.leave(gone, outcome, reason, ago=ago)


COMMENTS = (
    FileComment("src/cache.py", "`limit` may be negative, and then nothing is ever evicted", 14),
    FileComment("src/a/very/long/path/that/somebody/thought/of/for/a/module/of/theirs.py", "split this:\n  it does two things", 120, 145),
    FileComment("README", HOSTILE),
)
COLOURFUL = (
    "\x1b[1m$ tox -e py311\x1b[0m\n"
    "Receiving objects:   1%\rReceiving objects:  50%\rReceiving objects: 100% (1200/1200), done.\n"
    "\x1b[32mpy311: commands[0]\x1b[39m\x1b[2m> pytest --junitxml=report.xml\x1b[0m\n"
    "============================= test session starts ==============================\n"
    + "".join(
        f"tests/test_{name}.py \x1b[32m{'.' * 40}\x1b[0m\x1b[32m [ {part}%]\x1b[0m\n"
        for part, name in ((20, "api"), (45, "cache"), (71, "login"))
    )
    + "\x1b[33mwarning:\x1b[0m see \x1b]8;;https://docs.example.com/warnings\x1b\\the page on warnings\x1b]8;;\x1b\\, "
    "\x1b[38;5;208morange\x1b[0m and \x1b[38;2;90;160;255mtrue colour\x1b[0m, \x1b[7minverse\x1b[0m, \x1b[4munderlined\x1b[0m\n"
)
FAILURES = (
    "\x1b[31m\x1b[1m_________________ TestLimit.test_evicts_the_oldest _________________\x1b[0m\n"
    "    def test_evicts_the_oldest(self, cache):\n>       assert cache.size <= LIMIT\n"
    "\x1b[1m\x1b[31mE       assert 1048577 <= 1048576\x1b[0m\n\n"
    "\x1b[31m==================== \x1b[1m7 failed\x1b[0m, \x1b[32m119 passed\x1b[0m, \x1b[33m2 skipped\x1b[0m"
    "\x1b[31m in 41.20s ====================\x1b[0m\n"
)
