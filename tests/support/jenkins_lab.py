"""A Jenkins for the contract suite: the fake, or a real one that the environment names. Jobs are named for one test, then deleted."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import jenkins
import requests

from tests.support.waiting import wait_until
from torii.gearman import Client, FunctionStatus, Listener
from torii.gearman.admin import functions

T = TypeVar("T")
Address = tuple[str, int]
VARIABLES = ("TORII_TEST_JENKINS_URL", "TORII_TEST_JENKINS_USER", "TORII_TEST_JENKINS_TOKEN", "TORII_TEST_GEARMAN")


class Heard(Listener):
    """What a client heard of a job, packet by packet."""

    def __init__(self) -> None:
        self.packets: list[tuple[str, Any]] = []
        self.over = threading.Event()

    def created(self, handle: Any) -> None:
        self.packets.append(("created", handle))

    def data(self, data: bytes) -> None:
        self.packets.append(("data", json.loads(data)))

    def status(self, done: str, total: str) -> None:
        self.packets.append(("status", (done, total)))

    def complete(self, data: bytes) -> None:
        self._end("complete", json.loads(data) if data.startswith(b"{") else data)

    def fail(self) -> None:
        self._end("fail", None)

    def exception(self, data: bytes) -> None:
        self._end("exception", data)

    def lost(self) -> None:
        self._end("lost", None)

    def _end(self, kind: str, what: Any) -> None:
        self.packets.append((kind, what))
        self.over.set()

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.packets]

    def of(self, kind: str) -> Any:
        """What the first packet of that kind held; None before there is one."""
        return next((what for each, what in self.packets if each == kind), None)


@dataclass
class JenkinsLab:
    """`limit` is how many seconds anything may take: a real Jenkins pauses for five now and then."""

    url: str
    user: str
    token: str
    gearman: Address
    limit: float
    prefix: str = field(default_factory=lambda: f"torii-test-{secrets.token_hex(4)}")
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.jenkins = jenkins.Jenkins(self.url, self.user, self.token, timeout=30)
        self.http = requests.Session()
        self.http.auth = (self.user, self.token)
        self.clients = Client([self.gearman], "torii-test")
        assert self.clients.wait_connected(10), f"no Gearman server at {self.gearman}"

    def job(self, name: str, xml: str) -> str:
        """Make a job; return the name that it has."""
        full = f"{self.prefix}-{name}"
        self.made.append(full)
        self.jenkins.create_job(full, xml)
        return full

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.http.get(f"{self.url}/{path}", timeout=30, allow_redirects=False, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.http.post(f"{self.url}/{path}", timeout=30, allow_redirects=False, **options)

    def until(self, condition: Callable[[], T]) -> T:
        return wait_until(condition, self.limit, every=0.05)

    def start(self, job: str, **parameters: str) -> int:
        """Start a build over REST; return its number once it has begun."""
        item = self.jenkins.build_job(job, parameters or None)
        executable = self.until(lambda: self.jenkins.get_queue_item(item).get("executable"))
        return int(executable["number"])

    def ended(self, job: str, number: int) -> dict[str, Any]:
        """Wait until a build has ended; return what Jenkins says of it."""

        def over() -> dict[str, Any] | None:
            found: dict[str, Any] = self.jenkins.get_build_info(job, number)
            return None if found["building"] else found

        found = self.until(over)
        assert found is not None
        return found

    def registered(self, function: str) -> FunctionStatus | None:
        found = functions(self.gearman, 5.0).get(function)
        return found if found and found.workers else None

    def submit(self, function: str, parameters: dict[str, str] | bytes, unique: str = "") -> Heard:
        """Submit a Gearman job, once there is somebody who does it."""
        self.until(lambda: self.registered(function))
        heard = Heard()
        payload = parameters if isinstance(parameters, bytes) else json.dumps(parameters).encode()
        self.clients.submit(function, payload, unique or secrets.token_hex(8), listener=heard)
        return heard

    def wait(self, heard: Heard) -> list[str]:
        """Wait for the end of a Gearman job; return the kinds of packets that came."""
        assert heard.over.wait(self.limit), f"no end within {self.limit} s: {heard.packets}"
        return heard.kinds

    def close(self) -> None:
        self.clients.stop()
        for name in self.made:
            if self.jenkins.job_exists(name):
                self.jenkins.delete_job(name)
        self.http.close()


def why_no_real_jenkins() -> str:
    """Return why the suite cannot run on a real Jenkins, nothing where it can."""
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    return f"the Jenkins contract runs on the fake alone: {', '.join(missing)} not set" if missing else ""


@contextmanager
def real_jenkins() -> Iterator[JenkinsLab]:
    """The Jenkins that the environment names; TORII_TEST_GEARMAN is `host:port`."""
    url, user, token, gearman = (os.environ[name] for name in VARIABLES)
    host, _, port = gearman.rpartition(":")
    lab = JenkinsLab(url.rstrip("/"), user, token, (host, int(port)), limit=60.0)
    try:
        yield lab
    finally:
        lab.close()
