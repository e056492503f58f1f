"""The parts of a demo on a Jenkins, on the fake one: what is swept away and what is left alone, and what is missing there."""

from __future__ import annotations

import dataclasses
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import free_port, wait_until
from torii.config.server import load_server
from torii.demo import jenkins_builds
from torii.demo.jenkins import jenkins_workshop
from torii.demo.jenkins_check import NoJenkinsError, require_jenkins, trial_job
from torii.demo.jenkins_sweep import Swept, cut_at, sweep
from torii.demo.jenkins_venue import OWNERS, JenkinsOptions, Venue, venue_of
from torii.demo.place import occupied
from torii.gearman import Server, Worker
from torii.gearman.functions import MERGE
from torii.jenkins import Controller, JenkinsError
from torii.jobs.marks import Mark, with_mark
from torii.jobs.names import job_name
from torii.testing.jenkins import FakeJenkins, FakeNode, job_xml

LIMIT = 30.0
FOLDER = "team"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeJenkins]:
    with FakeJenkins(tmp_path / "jenkins") as fake:
        fake.add_folder(FOLDER)
        yield fake


@pytest.fixture
def venue(fake: FakeJenkins, tmp_path: Path) -> Venue:
    return venue_at(fake, tmp_path)


def venue_at(fake: FakeJenkins, tmp_path: Path, **given: str) -> Venue:
    (tmp_path / "token").write_text(fake.token)
    options = JenkinsOptions(fake.url, fake.user, f"file:{tmp_path / 'token'}", FOLDER)
    return venue_of(dataclasses.replace(options, **given), tmp_path / "my demo")


@pytest.fixture
def controller(venue: Venue) -> Iterator[Controller]:
    controller = Controller(venue.settings, patience=0.1)
    yield controller
    controller.close()


def add(fake: FakeJenkins, owner: str, project: str = "app", job: str = "unit", *, called: str = "", steps: str = "true") -> str:
    """Make a job as a Torii that is called `owner` does, and return its full name."""
    name = f"{FOLDER}/{called or job_name(project, 'main', job)}"
    fake.add_job(name, job_xml(steps, description=with_mark("", Mark(owner, project, "main", job, "0" * 32))))
    return name


# What is swept away.


def test_the_jobs_of_the_demo_go_and_all_others_stay(fake, controller):
    owner = controller.settings.owner
    for job in ("lint", "unit"):
        add(fake, owner, job=job)
    copied_by_hand = add(fake, owner, called="a-copy-of-unit")
    others = {add(fake, "torii", "web"), add(fake, f"{owner}x", "api"), copied_by_hand}
    fake.add_job(f"{FOLDER}/mine", job_xml("true"))
    assert sweep(controller) == Swept(removed=2)
    assert set(fake.jobs) == {FOLDER, f"{FOLDER}/mine", *others}


def test_what_runs_and_what_waits_is_stopped_first(fake, controller):
    fake.hold()
    name = add(fake, controller.settings.owner)
    for number in range(3):
        controller.start(name.rpartition("/")[2], {"TORII_UUID": str(number)})
    fake.wait_for_build(name, 2)
    build = fake.build(name, 1)
    assert sweep(controller) == Swept(removed=1)
    assert set(fake.jobs) == {FOLDER}
    assert build is not None and build.over.is_set()
    wait_until(lambda: not fake.running() and not fake.queue(), LIMIT)


def test_a_refusal_is_told_with_the_jobs_that_are_left(fake, controller):
    name = add(fake, controller.settings.owner).rpartition("/")[2]
    fake.allow("Overall/Read", "Job/Read", "Job/Create", "Job/Configure", "Job/Build", "Job/Cancel")
    swept = sweep(controller)
    assert (swept.removed, swept.left, swept.clean) == (0, (name,), False)
    assert "Job/Delete" in swept.reason


def test_what_fails_once_is_tried_again(fake, controller):
    for job in ("lint", "unit", "package"):
        add(fake, controller.settings.owner, job=job)
    fault = fake.fault(500, "POST .*unit/doDelete")
    assert sweep(controller) == Swept(removed=3)
    assert fault.met == 1
    assert set(fake.jobs) == {FOLDER}


def test_what_fails_each_time_is_given_up_in_the_end(fake, controller):
    for job in ("lint", "unit"):
        add(fake, controller.settings.owner, job=job)
    fake.fault(500, "POST .*unit/doDelete", times=1000)
    swept = sweep(controller, limit=1.0)
    assert (swept.removed, swept.left) == (1, ("app--main--unit",))
    assert "500" in swept.reason


def test_a_jenkins_that_is_away_is_no_reason_to_wait_for_ever(fake, controller):
    add(fake, controller.settings.owner)
    fake.down()
    swept = sweep(controller)
    assert (swept.removed, swept.left, swept.clean) == (0, (), False)
    assert fake.url in swept.reason


def test_whoever_wants_the_end_does_not_wait_for_a_slow_jenkins(fake, controller):
    fake.fault("slow", times=1000, seconds=60.0)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with cut_at(stop, controller), pytest.raises(JenkinsError):
        controller.jobs()


# What is missing.


def lacking(controller: Controller, venue: Venue) -> str:
    with pytest.raises(NoJenkinsError) as raised:
        require_jenkins(controller, venue, threading.Event())
    assert raised.value.exit_code == 1
    return str(raised.value)


def test_a_jenkins_that_has_all_is_taken_and_nothing_is_left_of_the_trial(fake, venue, controller):
    assert require_jenkins(controller, venue, threading.Event()) == []
    assert set(fake.jobs) == {FOLDER}


def test_all_that_is_missing_is_told_at_once(fake, venue, controller):
    for plugin in ("git", "junit"):
        del fake.plugins[plugin]
    fake.quiet_down()
    fake.take_offline("agent1")
    words = lacking(controller, venue)
    assert re.match(rf"the demo cannot be played on the Jenkins at {venue.settings.url}:\n- ", words)
    for told in ("plug-in git", "plug-in junit", "prepares for a shutdown", "is online"):
        assert told in words
    assert set(fake.jobs) == {FOLDER}


NEEDED = {"Overall/Read", "Overall/SystemRead", "Job/Create", "Job/Read", "Job/Configure", "Job/Build", "Job/Cancel", "Job/Delete"}


@pytest.mark.parametrize("permission", ["Job/Create", "Job/Configure", "Job/Build", "Job/Delete"])
def test_a_permission_that_is_missing_is_told_with_all_else(fake, venue, controller, permission):
    fake.allow(*(NEEDED - {permission}))
    fake.quiet_down()
    words = lacking(controller, venue)
    assert permission in words
    assert "prepares for a shutdown" in words
    left = {job for job in fake.jobs if job != FOLDER}
    assert left == ({f"{FOLDER}/{trial_job(venue.settings.owner)}"} if permission == "Job/Delete" else set())
    assert ("is still there: delete it by hand" in words) == bool(left)


def test_a_folder_that_the_account_may_not_see_is_told(fake, venue, controller):
    fake.allow(*(NEEDED - {"Job/Read"}))
    fake.allow_anonymous()
    assert re.search(r"\n- folder: .*/job/team/.*not see it", lacking(controller, venue))


def test_a_folder_that_is_missing_and_a_wrong_token_are_told(fake, tmp_path):
    nowhere = venue_at(fake, tmp_path, folder="nowhere")
    assert "nowhere" in lacking(Controller(nowhere.settings, patience=0.1), nowhere)
    (tmp_path / "wrong").write_text("x")
    wrong = venue_at(fake, tmp_path, token=f"file:{tmp_path / 'wrong'}")
    assert "401" in lacking(Controller(wrong.settings, patience=0.1), wrong)
    none = venue_at(fake, tmp_path, token="env:NO_SUCH_TOKEN")
    assert "set the environment variable NO_SUCH_TOKEN" in lacking(Controller(none.settings, patience=0.1), none)


@pytest.mark.parametrize(
    ("owner", "told"),
    [
        (f"{OWNERS}elsewhere-0123456789", r"the jobs of another demo \(app--main--unit, of torii-demo-elsewhere-0123456789\): wait until"),
        ("torii", r"jobs of another Torii \(app--main--unit, of torii\): name another folder"),
    ],
)
def test_jobs_of_others_in_the_place_of_the_demos_are_told(fake, venue, controller, owner, told):
    name = add(fake, owner)
    assert re.search(told, lacking(controller, venue))
    assert set(fake.jobs) == {FOLDER, name}


def test_a_job_that_no_torii_made_is_told_too(fake, venue, controller):
    fake.add_job(f"{FOLDER}/library--main--unit", job_xml("true"))
    assert "has the job library--main--unit, which Torii did not make" in lacking(controller, venue)


def test_jobs_that_this_demo_left_are_in_nobodys_way(fake, venue, controller):
    add(fake, venue.settings.owner)
    assert require_jenkins(controller, venue, threading.Event()) == []


def test_the_end_that_somebody_wants_comes_while_a_slow_jenkins_is_asked(fake, venue, controller):
    fake.fault("slow", times=1000, seconds=60.0)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with pytest.raises(NoJenkinsError):
        require_jenkins(controller, venue, stop)


# The Gearman server.


def test_where_a_gearman_server_is_it_is_used_and_else_torii_has_its_own_there(fake, tmp_path):
    port = free_port()
    venue = venue_at(fake, tmp_path, gearman=str(port))
    stop = threading.Event()
    said: list[str] = []
    with occupied(tmp_path / "my demo") as place, jenkins_workshop(place, venue, said.append, stop) as shop:
        place.server_yml.write_text(shop.server_yml())
        own = load_server(place.server_yml, None).gearman
        assert (own.servers, own.host, own.port) == ((), "127.0.0.1", port)
        server = Server("127.0.0.1", port)
        server.start()
        try:
            place.server_yml.write_text(shop.server_yml())
            assert load_server(place.server_yml, None).gearman.servers == (("127.0.0.1", port),)
        finally:
            server.stop()


def test_another_torii_at_that_gearman_server_is_told(fake, tmp_path):
    server = Server("127.0.0.1", 0)
    server.start()
    worker = Worker((server.address,), "another-torii")
    worker.register(MERGE, lambda job: None)
    worker.start()
    try:
        wait_until(lambda: worker.connected, LIMIT)
        venue = venue_at(fake, tmp_path, gearman=str(server.address[1]))
        fake.plugins["gearman-plugin"] = "0.5.0"
        wait_until(lambda: "another Torii works at the Gearman server" in lacking(Controller(venue.settings), venue), LIMIT)
    finally:
        worker.stop(5)
        server.stop()


def test_what_listens_there_and_is_no_gearman_server_is_told(fake, tmp_path):
    fake.plugins["gearman-plugin"] = "0.5.0"
    venue = venue_at(fake, tmp_path, gearman=str(fake.web.port))
    assert f"what listens at 127.0.0.1:{fake.web.port} is no Gearman server" in lacking(Controller(venue.settings), venue)


def test_an_address_that_is_not_of_this_machine_is_told(fake, tmp_path):
    fake.plugins["gearman-plugin"] = "0.5.0"
    venue = venue_at(fake, tmp_path, gearman="192.0.2.1:4730")
    words = lacking(Controller(venue.settings), venue)
    assert "no Gearman server answers at 192.0.2.1:4730, and the demo's own cannot listen there" in words


def test_a_jenkins_without_the_gearman_plug_in_is_told(fake, tmp_path):
    venue = venue_at(fake, tmp_path, gearman=str(free_port()))
    assert "plug-in gearman-plugin" in lacking(Controller(venue.settings), venue)


def test_a_gearman_plug_in_that_does_not_come_is_told_with_what_to_set(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(jenkins_builds, "CONNECTED", 0.5)
    server = Server("127.0.0.1", 0)
    server.start()
    venue = venue_at(fake, tmp_path, gearman=str(server.address[1]))
    try:
        with occupied(tmp_path / "my demo") as place, jenkins_workshop(place, venue, lambda _: None, threading.Event()) as shop:
            with pytest.raises(NoJenkinsError, match=rf"has not connected.*server 127\.0\.0\.1 and the port {server.address[1]}"):
                shop.ready([server.address])
            with FakeJenkins(tmp_path / "another", gearman=[server.address], nodes=[FakeNode("agent2")]):
                shop.ready([server.address])
    finally:
        server.stop()


# The place.


def test_builds_are_told_to_fetch_over_http_and_the_password_is_nobodys_to_read(fake, venue, tmp_path):
    stop = threading.Event()
    with occupied(tmp_path / "my demo") as place, jenkins_workshop(place, venue, lambda _: None, stop) as shop:
        place.server_yml.write_text(shop.server_yml())
        config = load_server(place.server_yml, None)
        assert {project.name: project.url for project in config.projects} == {
            name: str(shop.repository(name)) for name in ("app", "library")
        }
        assert all(re.fullmatch(r"http://127\.0\.0\.1:\d+/\w+\.git", project.staging_url) for project in config.projects)
        assert all(project.jenkins == ("ci",) for project in config.projects)
        assert (config.jenkins, config.worker.executors) == ((venue.settings,), 0)
        assert (place.root / "state" / "git-password").stat().st_mode & 0o077 == 0
        port = int(config.projects[0].staging_url.split(":")[2].split("/")[0])
        socket.create_connection(("127.0.0.1", port), LIMIT).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), LIMIT)


def test_no_proxy_is_asked_for_the_way_to_the_git_server(fake, venue, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "example.com")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with (
        occupied(tmp_path / "my demo") as place,
        jenkins_workshop(place, venue, lambda _: None, threading.Event()),
    ):
        assert (os.environ["no_proxy"], os.environ["NO_PROXY"]) == ("example.com,127.0.0.1", "127.0.0.1")
    assert (os.environ["no_proxy"], "NO_PROXY" in os.environ) == ("example.com", False)
