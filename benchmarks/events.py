"""A burst of 500 lines of Gerrit's stream: read from a socket, filtered, and what they lead to journalled in one transaction.

The lines are as long and as mixed as a Gerrit's: of a push, two updates of refs and the patch set; of a comment, an update and the comment.
Each patch set and comment leads to one event of the journal; what that says is read by REST, which is another matter: here it is at hand.
The floor is `json.loads` of the same lines and the same rows written by hand, in one SQLite transaction that reaches the disk alike.
"""

from __future__ import annotations

import json
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.measurement import Measurement
from torii.model.change import Approval, Change
from torii.model.event import ChangeUpdated
from torii.model.ids import ChangeId, ProjectName, Sha
from torii.model.pipeline import Cause
from torii.runtime.ports import Cursor
from torii.sources.gerrit.hints import Hint
from torii.sources.gerrit.lines import EventLines
from torii.store.codec import encode_event, event_kind
from torii.store.store import Store, open_store

LINES = 500
ROUNDS = 21
TARGET = 3.0
PIECE = 1024 * 1024
_AT = 1_795_319_019.0
_WHO = {"name": "A Developer", "email": "dev@example.com", "username": "dev"}


def run(lines: int = LINES, rounds: int = ROUNDS) -> Measurement:
    """Measure, and return milliseconds a burst (the median of the rounds). Torii and the floor take turns."""
    burst = _burst(lines)
    events = _events(burst)
    figures, floors = [], []
    with tempfile.TemporaryDirectory(prefix="torii-benchmark-") as name:
        folder = Path(name)
        with open_store(folder / "torii.db", folder / "blobs") as store:
            by_hand = _by_hand(folder / "floor.db")
            _torii(store, burst, events)  # the first transaction prepares what all later ones use
            for number in range(rounds):
                floors.append(_floor(by_hand, burst, events, number))
                figures.append(_torii(store, burst, events))
            by_hand.close()
    figure, floor = 1000 * median(figures), 1000 * median(floors)
    told = sum(map(len, events.values()))
    size = sum(map(len, burst)) // len(burst)
    print(f"{len(burst)} lines of {size} bytes lead to {told} events: by hand {floor:.1f} ms, Torii {figure:.1f} ms")
    ratio = figure / floor
    return Measurement("events", figure, "ms", floor, ratio, f"at most {TARGET}x of json.loads and one transaction", ratio <= TARGET)


def _torii(store: Store, burst: Sequence[bytes], events: dict[int, list[ChangeUpdated]]) -> float:
    """Read `burst` from a socket as fast as it comes, commit what it leads to, and return the seconds that took."""
    reading, writing = socket.socketpair()
    sender = threading.Thread(target=_send, args=(writing, b"".join(burst)), name="benchmark-stream")
    lines = EventLines()
    hints: dict[Hint, None] = {}
    began = time.perf_counter()
    sender.start()
    while piece := reading.recv(PIECE):
        hints |= dict.fromkeys(lines.feed(piece))
    told = [(time.time(), event) for hint in hints for event in events.get(hint.change or 0, ())]
    store.append(told, cursors=[Cursor("main", json.dumps({"version": 1, "since": _AT}))])
    taken = time.perf_counter() - began
    sender.join()
    reading.close()
    assert len(told) == sum(map(len, events.values())), "a line was lost"
    return taken


def _send(writing: socket.socket, text: bytes) -> None:
    with writing:
        writing.sendall(text)


def _floor(database: sqlite3.Connection, burst: Sequence[bytes], events: dict[int, list[ChangeUpdated]], number: int) -> float:
    rows = [(event_kind(event), encode_event(event)) for each in events.values() for event in each]
    first = number * len(rows)
    began = time.perf_counter()
    for line in burst:
        json.loads(line)
    database.execute("BEGIN IMMEDIATE")
    database.executemany("INSERT INTO journal VALUES (?, ?, ?, ?)", [(seq, _AT, *row) for seq, row in enumerate(rows, first)])
    database.execute("COMMIT")
    return time.perf_counter() - began


def _by_hand(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE journal (seq INTEGER PRIMARY KEY, at REAL, kind TEXT, body TEXT)")
    return database


def _burst(lines: int) -> list[bytes]:
    """Return `lines` lines of a stream: each fifth and fourth of five are a comment, the others a push."""
    made: list[bytes] = []
    number = 0
    while len(made) < lines:
        number += 1
        ref = f"refs/changes/{number % 100:02}/{number}"
        made += [
            _line("ref-updated", refUpdate=_ref(f"{ref}/1"), submitter=_WHO),
            _line("ref-updated", refUpdate=_ref(f"{ref}/meta"), submitter=_WHO),
            _line("patchset-created", uploader=_WHO, **_about(number)),
            _line("ref-updated", refUpdate=_ref(f"{ref}/meta"), submitter=_WHO),
            _line("comment-added", author=_WHO, comment="Patch Set 1:\n\nrecheck", approvals=_VOTES, **_about(number)),
        ]
    return made[:lines]


_VOTES = [{"type": label, "description": label, "value": "0"} for label in ("Verified", "Code-Review")]


def _line(kind: str, **fields: object) -> bytes:
    event = {**fields, "type": kind, "eventCreatedOn": int(_AT)}
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def _ref(name: str) -> dict[str, str]:
    return {"oldRev": "0" * 40, "newRev": "43fda4fcb2512839bd710eb2cb421a0d69d12f39", "refName": name, "project": "demo"}


def _about(number: int) -> dict[str, object]:
    """Return what Gerrit says of a change and its patch set in each event about them."""
    key = f"I{number:040x}"
    subject = f"Change number {number} of a busy day"
    revision = f"{number:040x}"
    patch_set = {"number": 1, "revision": revision, "parents": ["f" * 40], "ref": f"refs/changes/{number % 100:02}/{number}/1"}
    sizes = {"kind": "REWORK", "sizeInsertions": 10, "sizeDeletions": 0, "createdOn": int(_AT), "uploader": _WHO, "author": _WHO}
    change = {"project": "demo", "branch": "master", "id": key, "number": number, "subject": subject, "owner": _WHO, "status": "NEW"}
    told = {
        "url": f"https://gerrit.example.com/c/demo/+/{number}",
        "commitMessage": f"{subject}\n\nChange-Id: {key}\n",
        "createdOn": int(_AT),
    }
    names = {"project": "demo", "refName": "refs/heads/master", "changeKey": {"id": key}}
    return {"patchSet": {**patch_set, **sizes}, "change": {**change, **told}, **names}


def _events(burst: Sequence[bytes]) -> dict[int, list[ChangeUpdated]]:
    """Return what `burst` leads to, by the number of the change: an event for each patch set and each comment."""
    found: dict[int, list[ChangeUpdated]] = {}
    for line in burst:
        event = json.loads(line)
        if "change" in event:
            number = event["change"]["number"]
            of_change = found.setdefault(number, [])
            of_change.append(_updated(number, event["type"], len(of_change)))
    return found


def _updated(number: int, kind: str, count: int) -> ChangeUpdated:
    change = Change(
        id=ChangeId(f"main:{number}"),
        project=ProjectName("demo"),
        branch="master",
        patchset="1",
        commit=Sha(f"{number:040x}"),
        ref=f"refs/changes/{number % 100:02}/{number}/1",
        title=f"Change number {number} of a busy day",
        owner="dev",
        url=f"https://gerrit.example.com/c/demo/+/{number}",
        blockers=("Code-Review: needs label:Code-Review=MAX",),
        approvals=(Approval("Verified", 1, "torii", _AT),),
    )
    cause = Cause.PATCHSET_CREATED if kind == "patchset-created" else Cause.COMMENT_ADDED
    return ChangeUpdated(change, cause, f"main:{number}:{number:07x}{count:03}", by="dev", comment="" if count == 0 else "recheck")
