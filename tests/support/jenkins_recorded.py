"""The Jenkins that was recorded, built again from the fake, and what was asked of it, asked again: how do the answers compare?"""

from __future__ import annotations

import base64
import http.client
import json
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torii.testing.jenkins import Account, FakeJenkins, FakeNode, job_xml

RECORDINGS = Path(__file__).resolve().parents[1] / "recordings/jenkins"
ROOT = "http://jenkins"
NODES = (
    FakeNode("agent1", ("linux", "x86"), executors=2, description="lab agent 1"),
    FakeNode("agent2", ("linux", "arm"), description="lab agent 2"),
    FakeNode("agent3", ("special",), exclusive=True, description="lab agent 3 (exclusive)"),
)
PARAMETERS = ("SECS=1", "RC=0", "PARAM_A=default-a", "PARAM_B=default-b")
LABELS = {
    "on-and": "linux && x86",
    "on-linux": "linux",
    "on-node": "agent2",
    "on-not": "!x86",
    "on-nowhere": "nosuchlabel",
    "on-or": "x86 || arm",
    "on-special": "special",
}
READER = frozenset({"Overall/Read", "Job/Read"})
ARTIFACTS = "mkdir -p out/sub; echo one >out/a.txt; echo two >out/sub/b.txt; printf 'é\\n' >'out/sub/c d.txt'"
TESTS = """cat >r.xml <<'EOF'
<testsuite name="s"><testcase classname="a.B" name="ok" time="0.1"/><testcase classname="a.B" name="bad" time="0.2"><failure
message="boom">trace</failure></testcase><testcase classname="a.B" name="skip"><skipped/></testcase></testsuite>
EOF"""


class Clock:
    """Stands still unless it is told."""

    def __init__(self) -> None:
        self.now = 1_795_352_000.0

    def __call__(self) -> float:
        return self.now


def recorded_lab(folder: Path, clock: Any, **options: Any) -> FakeJenkins:
    """A fake with the nodes of the recorded Jenkins; start it, then give it its jobs."""
    lab = FakeJenkins(folder, nodes=NODES, builtin=2, clock=clock, **options)
    every = {"admin": frozenset({"*"}), "reader": READER, "builder": READER | {"Job/Build"}, "nobody": frozenset()}
    lab.accounts.update({name: Account("TOKEN", "PASSWORD", permissions) for name, permissions in every.items()})
    return lab


def add_recorded_jobs(lab: FakeJenkins) -> None:
    """Make the jobs that the recorded Jenkins began with."""
    shell = "#!/bin/sh\n"
    for name in ("plain", "serial", *LABELS):
        lab.add_job(name, job_xml(shell, parameters=PARAMETERS, label=LABELS.get(name, ""), concurrent=name != "serial"))
    lab.add_job("noparams", job_xml(shell, parameters=()))
    lab.add_job("artifacts", job_xml(shell + ARTIFACTS, parameters=(), artifacts="out/**"))
    lab.add_job("tests", job_xml(shell + TESTS, parameters=(), junit="r.xml"))
    lab.add_job("disabled-job", job_xml(shell, parameters=()))
    lab.disable_job("disabled-job")
    axis = "<hudson.matrix.TextAxis><name>AX</name><values><string>a</string><string>b</string></values></hudson.matrix.TextAxis>"
    lab.add_job("matrix", f"<matrix-project><properties/><scm class='hudson.scm.NullSCM'/><axes>{axis}</axes></matrix-project>")
    lab.add_job("pipe", "<flow-definition><properties/></flow-definition>")
    lab.hold()
    lab.for_real("artifacts")
    lab.for_real("tests")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Replay:
    """Asks `lab` what was asked of the recorded one, over one connection, each account with a session of its own."""

    lab: FakeJenkins
    clock: Clock
    sessions: dict[str | None, dict[str, str]] = field(default_factory=dict)

    def ask(self, entry: dict[str, Any]) -> Answer:
        """Send the recorded request as it was; return the answer."""
        who = entry.get("as")
        session = self.sessions.setdefault(who, {})
        headers = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
        if who:
            headers["Authorization"] = "Basic " + base64.b64encode(who.encode()).decode()
        if entry.get("cookie") and "cookie" in session:
            headers["Cookie"] = session["cookie"]
        if entry.get("crumb") and "crumb" in session:
            headers["Jenkins-Crumb"] = session["crumb"] if entry["crumb"] is True else "another"
        if "range" in entry:
            headers["Range"] = entry["range"]
        if "type" in entry:
            headers["Content-Type"] = entry["type"]
        if entry["status"] == 201 and (item := re.search(r"/queue/item/(\d+)/", entry["headers"].get("Location", ""))):
            self.lab.core.next_item = int(item[1])
        answer = fetch(
            self.lab,
            entry["method"],
            entry["path"],
            headers,
            (entry.get("body") or "").replace("=CRUMB", f"={session.get('crumb')}").encode(),
        )
        if "Set-Cookie" in answer.headers:
            session["cookie"] = answer.headers["Set-Cookie"].partition(";")[0]
        if entry["path"].startswith("/crumbIssuer") and answer.status == 200:
            session["crumb"] = answer.json()["crumb"]
        return answer

    def differences(self, entry: dict[str, Any]) -> list[str]:
        """Ask, and ask again while time passes in the lab, until the answer is the recorded one; return in what it differs at last."""
        found = compare(entry, self.ask(entry), self.lab.url)
        for _ in range(12 if entry["method"] == "GET" else 0):
            if not found:
                break
            self._pass_time(entry)
            found = compare(entry, self.ask(entry), self.lab.url)
        return found

    def _pass_time(self, entry: dict[str, Any]) -> None:
        said = entry.get("json")
        ended = re.match(r"/job/([^/]+)/(\d+)/", entry["path"])
        if isinstance(said, dict) and said.get("building") is False and said.get("result") and ended:
            build = self.lab.build(ended[1], int(ended[2]))
            if build is not None and build.held:
                self.lab.release(ended[1], build.number, said["result"])
        self.clock.now += 1.0
        with self.lab.core.lock:
            self.lab.core.maintain()
        threading.Event().wait(0.05)  # for what runs in real time: shell steps


def fetch(lab: FakeJenkins, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
    """Return the answer to one request, redirects not followed, unzipped."""
    import gzip

    connection = http.client.HTTPConnection("127.0.0.1", lab.web.port, timeout=20)
    try:
        connection.request(
            method, path, body=body or None, headers=headers | ({"Content-Length": "0"} if method == "POST" and not body else {})
        )
        answer = connection.getresponse()
        data = answer.read()
        if answer.headers.get("Content-Encoding") == "gzip" and data:
            data = gzip.decompress(data)
        return Answer(answer.status, dict(answer.headers.items()), data)
    finally:
        connection.close()


# -- how two answers compare

_EXACT = ("X-More-Data", "X-Error", "WWW-Authenticate", "X-Required-Permission", "X-You-Are-Authenticated-As")
_PRESENT = ("X-Jenkins", "X-Text-Size", "Content-Encoding")
_ANY_NUMBER = frozenset(
    {"timestamp", "duration", "estimatedDuration", "inQueueSince", "buildableStartMilliseconds", "average", "diff", "size", "busyExecutors"}
    | {
        "availablePhysicalMemory",
        "availableSwapSpace",
        "totalPhysicalMemory",
        "totalSwapSpace",
        "score",
        "idleExecutors",
        "age",
        "failedSince",
    }
    | {"totalExecutors", "nextBuildNumber", "number"}
)
_ANY_TEXT = frozenset(
    {"crumb", "url", "errorStackTrace", "builtOn", "description", "color", "path", "longName", "version", "shortName"}
) | frozenset({"requiredCoreVersion", "iconUrl", "iconClassName", "nodeName"})
_HISTORY = re.compile(r"(first|last\w*|next|previous)Build$|builds$|allBuilds$|healthReport$|queueItem$|tiedJobs$")
_FREE = re.compile(r"(monitorData|dependencies|loadStatistics)$")


def compare(entry: dict[str, Any], answer: Answer, url: str) -> list[str]:
    """Return in what `answer` differs from the recorded one: status, the headers that matter, the JSON's keys, types and fixed values."""
    where = f"{entry['method']} {entry['path']} ({entry.get('as') or 'anonymous'})"
    found = []
    if answer.status != entry["status"]:
        return [f"{where}: {answer.status} where {entry['status']} was recorded"]
    recorded = entry["headers"]
    found += [
        f"{where}: {name} is {answer.headers.get(name)!r} where {recorded.get(name)!r} was recorded"
        for name in _EXACT
        if recorded.get(name) != answer.headers.get(name)
    ]
    found += [f"{where}: {name} in one, not in the other" for name in _PRESENT if (name in recorded) != (name in answer.headers)]
    mine = (answer.headers.get("Location") or "").replace(url, ROOT)
    if mine != recorded.get("Location", ""):
        found.append(f"{where}: Location is {mine!r} where {recorded.get('Location')!r} was recorded")
    if (kind := recorded.get("Content-Type")) and answer.headers.get("Content-Type", "").lower() != kind.lower():
        found.append(f"{where}: Content-Type is {answer.headers.get('Content-Type')!r} where {kind!r} was recorded")
    if "json" in entry and not found:
        actual = json.loads(answer.body.decode().replace(url, ROOT))
        found += [f"{where}: {difference}" for difference in differ(entry["json"], actual, "$")]
    return found


def differ(recorded: Any, actual: Any, path: str) -> list[str]:
    """Return where two JSON values differ in keys, types, or values that do not depend on when and where they were made."""
    key = path.rpartition(".")[2]
    if _FREE.search(path):
        return []
    match recorded, actual:
        case dict(), dict():
            found = [f"{path}.{name} is missing" for name in recorded.keys() - actual.keys()]
            found += [f"{path}.{name} was not recorded" for name in actual.keys() - recorded.keys()]
            for name in recorded.keys() & actual.keys():
                found += differ(recorded[name], actual[name], f"{path}.{name}")
            return found
        case list(), list():
            return _differ_lists(recorded, actual, path)
        case (None, _) | (_, None) if _HISTORY.search(path):
            return []
        case (int() | float(), int() | float()) if not isinstance(recorded, bool) and not isinstance(actual, bool):
            same = key in _ANY_NUMBER or recorded == actual
        case (str(), str()):
            same = key in _ANY_TEXT or _without_numbers(recorded) == _without_numbers(actual)
        case _:
            same = recorded == actual and type(recorded) is type(actual)
    return [] if same else [f"{path} is {actual!r:.200} where {recorded!r:.200} was recorded"]


def _differ_lists(recorded: list[Any], actual: list[Any], path: str) -> list[str]:
    if _HISTORY.search(path) and not (recorded and actual):
        return []
    if path.endswith((".jobs", ".plugins", ".builds", ".allBuilds")):
        return differ(recorded[0], actual[0], f"{path}[0]") if recorded and actual else []
    if path.endswith(".executors"):  # which of them took a build is chance
        recorded, actual = (sorted(each, key=lambda executor: executor.get("idle", True)) for each in (recorded, actual))
    if path.endswith(".nodes"):  # a set
        recorded, actual = (sorted(each, key=lambda node: node["nodeName"]) for each in (recorded, actual))
    if len(recorded) != len(actual):
        return [f"{path} has {len(actual)} entries where {len(recorded)} were recorded: {actual!r:.300}"]
    return [each for number, pair in enumerate(zip(recorded, actual, strict=True)) for each in differ(*pair, f"{path}[{number}]")]


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?|N/A", "N", text)
