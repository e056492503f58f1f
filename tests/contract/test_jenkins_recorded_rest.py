"""What a real Jenkins answered over HTTP (tests/recordings/jenkins/rest): asked the same, does the fake answer the same?"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.jenkins_recorded import RECORDINGS, Clock, Replay, add_recorded_jobs, compare, fetch, recorded_lab
from torii.testing.jenkins import FakeJenkins, job_xml
from torii.testing.jenkins.log import Log
from torii.testing.jenkins.state import Cause

Entries = list[dict[str, Any]]


def entries_of(scenario: str) -> Entries:
    found: Entries = json.loads((RECORDINGS / "rest" / f"{scenario}.json").read_text())
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lab(tmp_path: Path, clock: Clock) -> Iterator[FakeJenkins]:
    with recorded_lab(tmp_path, clock) as lab:
        add_recorded_jobs(lab)
        yield lab


@pytest.fixture
def replay(lab: FakeJenkins, clock: Clock) -> Callable[..., None]:
    """Asks all that was recorded, beginning with the numbers that builds had there; `before` acts before the entry of a number."""

    def run(scenario: str, before: dict[int, Callable[[], object]] | None = None) -> None:
        entries = entries_of(scenario)
        for entry in reversed(entries):
            if (found := re.match(r"/job/([^/]+)/(\d+)/", entry["path"])) and entry["status"] == 200 and found[1] in lab.jobs:
                lab.jobs[found[1]].next_number = max(int(found[2]), len(lab.jobs[found[1]].builds) + 1)
        replay = Replay(lab, clock)
        differences: list[str] = []
        for number, entry in enumerate(entries):
            (before or {}).get(number, lambda: None)()
            differences += replay.differences(entry)
        assert differences == []

    return run


@pytest.mark.parametrize(
    "scenario",
    [
        *("b01_info", "b02_job_lifecycle", "b10_build_life", "b11_result_ABORTED", "b11_result_FAILURE", "b11_result_UNSTABLE"),
        *("b13_artifacts_tests", "b14_quiet_down", "b15_pipeline_matrix"),
    ],
)
def test_the_fake_answers_as_was_recorded(replay: Callable[..., None], scenario: str) -> None:
    replay(scenario)


def test_queue_items_say_what_they_wait_for_as_was_recorded(lab: FakeJenkins, replay: Callable[..., None]) -> None:
    """One build holds the only executor, another a job that runs once at a time; before the node goes offline, all of it ends."""
    lab.start_build("on-special", {"SECS": "8"})
    serial = lab.start_build("serial", {"SECS": "8"}).build
    assert serial is not None
    serial.estimate = 1.0

    def end() -> None:
        lab.release("on-special")
        lab.release("on-special")

    replay("b16_queue_blocked", {10: end})


@pytest.mark.parametrize("scenario", ["b20_auth", "b20_auth_strict"])
def test_accounts_are_let_in_or_refused_as_was_recorded(lab: FakeJenkins, replay: Callable[..., None], scenario: str) -> None:
    if scenario == "b20_auth":
        lab.start_build("plain")
        lab.release("plain")
    else:
        lab.allow_anonymous()
    replay(scenario)


def test_errors_look_as_was_recorded(lab: FakeJenkins, replay: Callable[..., None]) -> None:
    """The first build of `plain` had been asked for over Gearman."""
    lab.start_build("plain")
    build = lab.release("plain")
    build.plugin, build.item, build.parameters, build.causes = True, 1, {"SECS": "8"}, (Cause(),)
    replay("b21_errors")


def test_a_growing_log_is_read_piece_by_piece_as_was_recorded(lab: FakeJenkins) -> None:
    """The very log that was recorded, grown to the sizes that were recorded: each piece is the same to the byte."""
    entries = [entry for entry in entries_of("b12_progressive_text") if "/bl/7/" in entry["path"]]
    lab.add_job("bl", job_xml("", parameters=()))
    lab.jobs["bl"].next_number = 7
    lab.start_build("bl")
    build = lab.build("bl", 7)
    assert build is not None
    build.log, raw = Log(), recorded_log(entries)
    lost = 536 - len(raw)  # a path in the recorded log was replaced by a shorter one, but its sizes were not
    for entry in entries:
        size = entry["headers"].get("X-Text-Size")
        if size is not None:
            build.log.write(raw[build.log.size : int(size) - lost])
            build.result = None if "X-More-Data" in entry["headers"] else "SUCCESS"
        path = re.sub(r"start=(\d{3,})$", lambda found: f"start={int(found[1]) - lost}", entry["path"])
        answer = fetch(lab, entry["method"], path, {"Authorization": "Basic YWRtaW46VE9LRU4=", "Accept-Encoding": "gzip"})
        assert compare(entry, answer, lab.url) == []
        if size is not None:
            assert (answer.body.decode(), int(answer.headers["X-Text-Size"])) == (entry.get("text", ""), int(size) - lost), path


def recorded_log(entries: Entries) -> bytes:
    """Return the log's bytes on Jenkins' disk: its text, with the note in the first line of which all but the beginning is shown."""
    [whole] = [entry["text"] for entry in entries if entry["path"].endswith("start=0") and "X-More-Data" not in entry["headers"]]
    [note] = [entry["text"] for entry in entries if entry["path"].endswith("start=72")]
    rest = whole.replace("\r\n", "\n").removeprefix("Started by user admin\n")
    first: str = "Started by user \x1b[8mha:" + "/" * 49 + note.replace("\r\n", "\n").removesuffix(rest)
    return (first + rest).encode()
