"""What a real Jenkins' Gearman plug-in was recorded to say (tests/recordings/jenkins/gearman): does the fake's say the same?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.gearman_servers import EmbeddedServer, Gearmand, GearmanServer
from tests.support.jenkins_recorded import Clock, add_recorded_jobs, recorded_lab
from tests.support.jenkins_wire import Replay, Tap, events_of, recorded_words, settled
from torii.testing.jenkins import FakeJenkins, job_xml

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
