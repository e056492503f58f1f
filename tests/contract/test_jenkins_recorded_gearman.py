"""What a real Jenkins' Gearman plug-in was recorded to say (tests/recordings/jenkins/gearman): does the fake's say the same?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.gearman_servers import EmbeddedServer, Gearmand, GearmanServer
from tests.support.jenkins_recorded import Clock, add_recorded_jobs, recorded_lab
from tests.support.jenkins_wire import Event, Replay, Tap, events_of, recorded_words, settled
from tests.support.waiting import wait_until
from torii.testing.jenkins import FakeJenkins, job_xml
from torii.testing.jenkins.core import BadNameError

SERVERS = [pytest.param("_gearserver", id="embedded"), pytest.param("", id="gearmand", marks=pytest.mark.needs("gearmand"))]


@pytest.fixture(params=SERVERS)
def suffix(request: pytest.FixtureRequest) -> str:
    """What the recordings with this server are called."""
    return str(request.param)


@pytest.fixture
def server(suffix: str) -> Iterator[GearmanServer]:
    server: GearmanServer = EmbeddedServer() if suffix else Gearmand()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def lab(tmp_path: Path, server: GearmanServer) -> Iterator[FakeJenkins]:
    with recorded_lab(tmp_path, Clock(), gearman=[server.address]) as lab:
        add_recorded_jobs(lab)
        yield lab


@pytest.fixture
def replay(lab: FakeJenkins, server: GearmanServer) -> Callable[..., Replay]:
    return lambda acts=None: Replay(lab, server.address, acts)


@pytest.mark.parametrize(
    "scenario",
    [
        *("a10_submit_SUCCESS", "a10_submit_FAILURE", "a10_submit_UNSTABLE", "a11_submit_ABORTED_rest", "a12_noparams_env"),
        *("a20_bad_payloads", "a20_bad_payloads_exceptions", "a30_stop_running", "a33_set_description"),
        *("a50_same_unique", "a51_same_unique_after_end", "a60_long_job", "a62_kinds"),
        *("a73_queue_item_cancelled", "a83_empty_unique"),
    ],
)
def test_clients_hear_what_was_recorded(replay: Callable[..., Replay], scenario: str, suffix: str) -> None:
    told = replay()
    told.cancels = scenario in ("a73_queue_item_cancelled", "a83_empty_unique")
    assert told.run(events_of(scenario + suffix)) == []


@pytest.mark.parametrize("value", ["0", "TRUE", "true", "yes"])
def test_a_node_goes_offline_after_a_build_that_asks_for_it(
    lab: FakeJenkins, replay: Callable[..., Replay], suffix: str, value: str
) -> None:
    assert replay().run(events_of(f"a41_offline_value_{value}{suffix}")) == []
    node = lab.core.node("agent3")
    assert node is not None
    assert (node.temporarily, node.reason) == ((True, "Offline due to Gearman request") if value.lower() == "true" else (False, ""))


def test_what_waits_for_a_node_that_went_offline_runs_once_it_is_back(lab: FakeJenkins, replay: Callable[..., Replay], suffix: str) -> None:
    def still_waits() -> None:
        lab.wait(lambda: lab.registered["agent3_exec-0"] == set())
        assert lab.jobs["on-special"].next_number == 2

    acts = {"node over REST": still_waits, "node toggled online": lambda: lab.take_offline("agent3", False)}
    assert replay(acts).run(events_of(f"a40_offline_when_complete{suffix}")) == []


def test_a_build_after_which_its_node_goes_offline_has_the_node_for_itself(lab: FakeJenkins, replay: Callable[..., Replay]) -> None:
    """Two executors, and a second job for them waits all the same.

    With gear's server a real worker may take it, and lose it with its connection: gearmand's recording is the one without chance.
    """

    def alone() -> None:
        assert [build.number for build in lab.running("on-and")] == [1]

    acts = {7: alone, 8: lambda: lab.take_offline("agent1", False)}
    assert replay(acts).run(events_of("a42_two_executors_offline")) == []


def test_a_job_is_disabled_renamed_and_deleted_while_it_is_built(lab: FakeJenkins, replay: Callable[..., Replay], suffix: str) -> None:
    def rename() -> None:
        with pytest.raises(BadNameError):
            lab.rename_job("victim", "other")

    acts: dict[int | str, Callable[[], object]] = {
        "job disabled while one build runs and one job waits in gearmand": lambda: lab.disable_job("on-special"),
        "job enabled": lambda: lab.disable_job("on-special", False),
        14: lambda: lab.add_job("victim", job_xml("", parameters=("SECS=1",), label="special")),
        "rename while building": rename,
    }
    told = replay(acts)
    told.abort = lambda job, _: lab.delete_job(job)
    assert told.run(events_of(f"a75_job_disabled_renamed_deleted_midway{suffix}")) == []


def test_jobs_wait_while_jenkins_is_about_to_shut_down(lab: FakeJenkins, replay: Callable[..., Replay]) -> None:
    def nothing_started() -> None:
        assert lab.running("plain") == []

    acts = {"quietDown": lab.quiet_down, "status": nothing_started, "cancelQuietDown": lambda: lab.quiet_down(False)}
    assert replay(acts).run(events_of("a74_quiet_down")) == []


@pytest.mark.parametrize("suffix", SERVERS[1:], indirect=True)
def test_what_an_agent_was_killed_in_is_run_again_when_it_is_back(lab: FakeJenkins, replay: Callable[..., Replay]) -> None:
    acts = {"agent3 process killed (SIGKILL)": lambda: lab.kill_node("agent3"), 8: lambda: lab.revive_node("agent3")}
    assert replay(acts).run(events_of("a76_agent_killed")) == []
    assert [lab.jobs["on-special"].builds[number].result for number in (26, 27, 28)] == ["FAILURE", "SUCCESS", "SUCCESS"]


# -- what the workers say to the server


@pytest.fixture
def tap(server: GearmanServer) -> Iterator[Tap]:
    tap = Tap(server.address)
    yield tap
    tap.close()


@pytest.fixture
def tapped(tmp_path: Path, tap: Tap) -> Iterator[FakeJenkins]:
    """A lab that has its jobs, and was started again with them."""
    with recorded_lab(tmp_path, Clock(), gearman=[tap.address]) as lab:
        add_recorded_jobs(lab)
        lab.end()
        tap.packets.clear()
        yield lab


def plain(words: list[str]) -> list[str]:
    """Return what a worker said with what it can do in alphabetical order, for which there is no other, and without its serial number."""
    found: list[str] = []
    for word in (re.sub(r"GearmanWorker:\d+", "GearmanWorker", word) for word in words):
        at = len(found)
        while at and word.startswith("CAN_DO") and found[at - 1].startswith("CAN_DO") and found[at - 1] > word:
            at -= 1
        found.insert(at, word)
    return found


def test_workers_register_as_was_recorded(tapped: FakeJenkins, tap: Tap) -> None:
    tapped.boot()
    recorded = {worker: plain(words) for worker, words in recorded_words(events_of("a01_registration_boot"))}
    assert {worker: plain(words) for worker, words in settled(tap, workers=len(recorded)).items()} == recorded


def test_workers_tell_of_changed_jobs_and_nodes_as_was_recorded(tapped: FakeJenkins, tap: Tap) -> None:
    tapped.boot()
    xml, labelled = job_xml(""), job_xml("", label="linux")
    settled(tap, workers=7)

    def copy() -> None:
        with tapped.core.lock:
            tapped.core.copy(tapped.jobs["reg-b"], "reg-d")

    for act, recorded in zip(
        (
            lambda: tapped.add_job("reg-a", xml),
            lambda: tapped.add_job("reg-b", labelled),
            lambda: tapped.rename_job("reg-a", "reg-c"),
            copy,
            lambda: tapped.add_job("reg-d", labelled),
            lambda: tapped.disable_job("reg-c"),
            lambda: tapped.disable_job("reg-c", False),
            lambda: tapped.add_job("reg-c", job_xml("", label="arm")),
            lambda: tapped.add_job("reg-c", job_xml("", label="arm")),
            lambda: tapped.add_job("reg-c", xml),
            lambda: tapped.delete_job("reg-b"),
            lambda: tapped.delete_job("reg-c"),
            lambda: tapped.delete_job("reg-d"),
            lambda: tapped.take_offline("agent1"),
            lambda: tapped.take_offline("agent1", False),
        ),
        steps(events_of("a02_registration_changes")),
        strict=True,
    ):
        since = len(tap.packets)
        act()
        assert wait_until_equal(partial(lambda since: abilities(tap.said(since)), since), recorded[1]), recorded[0]


def steps(events: list[Event]) -> Iterator[tuple[str, dict[str, set[str]]]]:
    """Yield each step that was taken, and what each worker said then of what it can do."""
    said: list[Event] = []
    for event in events:
        if isinstance(event, dict):
            yield event["note"], abilities(dict(recorded_words(said)))
            said = []
        else:
            said.append(event)


def abilities(said: dict[str, list[str]]) -> dict[str, set[str]]:
    found = {worker: {word for word in words if word.startswith(("CAN", "RESET"))} for worker, words in said.items()}
    return {worker: words for worker, words in found.items() if words}


def wait_until_equal(found: Callable[[], object], wanted: object) -> bool:
    try:
        wait_until(lambda: found() == wanted, 5)
    except TimeoutError:
        assert found() == wanted
    return True


def test_workers_register_nothing_where_anonymous_may_not_read_jobs(tapped: FakeJenkins, tap: Tap) -> None:
    """Until an administrator saves a job."""
    tapped.allow_anonymous()
    tapped.boot()
    before, after = (abilities(dict(recorded_words(events))) for events in halves(events_of("a04_reboot_strict")))
    assert abilities(settled(tap, workers=7)) == before
    since = len(tap.packets)
    tapped.add_job("noparams", tapped.jobs["noparams"].xml)
    assert wait_until_equal(lambda: abilities(tap.said(since)), after)


def halves(events: list[Event]) -> tuple[list[Event], list[Event]]:
    [middle] = [number for number, event in enumerate(events) if event == {"note": "4 s after all agents are online"}]
    return events[:middle], events[middle:]


def test_a_worker_with_a_job_says_what_was_recorded(tapped: FakeJenkins, tap: Tap, server: GearmanServer) -> None:
    """From the job's being there until the worker sleeps again: the kinds of its packets, in order."""
    tapped.boot()
    settled(tap, workers=7)
    since = len(tap.packets)
    events = events_of("a10_submit_SUCCESS")
    assert Replay(tapped, server.address).run(events) == []
    [recorded] = [kinds_of(words) for _, words in recorded_words(events) if "WORK_DATA" in kinds_of(words)]
    wait_until(lambda: recorded in [kinds_of(words) for words in tap.said(since).values()])


def kinds_of(words: list[str]) -> list[str]:
    return [word.partition(" ")[0] for word in words]
