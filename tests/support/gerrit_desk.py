"""Torii's desk at a real Gerrit: reports and submits as the gate would ask for them, without a gate; and a wire that loses answers."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from torii.config.settings import GerritConnection, Secret
from torii.git import Mirror, Remote
from torii.git.credentials import credentials_of
from torii.model.change import BranchState, Change
from torii.model.command import Report, Submit, Verdict
from torii.model.ids import BuildSetId, ItemId, PipelineName, ProjectName, Sha
from torii.model.pipeline import MergeMode
from torii.sources.gerrit.commits import CommitReader
from torii.sources.gerrit.derive import Relations, Rules, change_of
from torii.sources.gerrit.facts import OPTIONS, facts_of
from torii.sources.gerrit.landed import LandedStates
from torii.sources.gerrit.reporter import Reporter
from torii.sources.gerrit.rest import GerritRest
from torii.sources.gerrit.submit import GerritSubmitter
from torii.testing.gerrit import GerritSite, LabChange, LabProject

Lose = Callable[[str, str], str]
"""What becomes of the answer to a request (method, path): `answer`, `lose`, `refuse` (503, not passed on), `hide` (503, but done)."""


@dataclass
class Desk:
    """Torii's account on `site`. `url` is where its REST is asked: at the site, or at a wire before it."""

    site: GerritSite
    folder: Path
    url: str = ""
    labels: frozenset[str] = frozenset({"Verified"})
    text: Callable[[Report], str] = lambda report: f"Build {report.verdict.value} ({report.pipeline} pipeline).\n\n{report.reason}\n"
    stopping: threading.Event = field(default_factory=threading.Event)

    def connection(self, who: str = "torii") -> GerritConnection:
        password = Secret(f"file:{self.site.account(who).password_file}")
        return GerritConnection("lab", self.url or self.site.url, user=who, password=password, timeout=20.0)

    def rest(self, who: str = "torii") -> GerritRest:
        return GerritRest(self.connection(who), patience=0.02)

    def reporter(self, who: str = "torii") -> Reporter:
        return Reporter(self.rest(who), self.text, self.stopping, patience=0.02)

    def rules(self, who: str = "torii") -> Rules:
        return Rules("lab", self.site.url, int(self.site.rest(who).get("/accounts/self")["_account_id"]), self.labels)

    def submitter(self, *projects: LabProject, who: str = "torii") -> GerritSubmitter:
        states = {ProjectName(project.name): self.states(project, who) for project in projects}
        rules = self.rules(who)
        return GerritSubmitter(self.rest(who), states, lambda: rules, self.stopping, patience=0.02)

    def states(self, project: LabProject, who: str = "torii") -> LandedStates:
        connection = replace(self.connection(who), url=self.site.url)
        remote = Remote(f"{self.site.url}/a/{project.name}", credentials_of(connection))
        reader = CommitReader(self.rest(who), ProjectName(project.name))
        return LandedStates(remote, Mirror(self.mirror(project)), reader.read)

    def mirror(self, project: LabProject) -> Path:
        """Return where what is fetched of `project` is kept."""
        return self.folder / "mirrors" / f"{project.name}.git"

    def change(self, lab: LabChange, together: tuple[LabChange, ...] = ()) -> Change:
        """Return `lab` as the gate would know it."""
        options = "&".join(f"o={option}" for option in OPTIONS)
        facts = facts_of(self.site.rest("torii").get(f"/changes/{lab.number}?{options}"))
        return change_of(facts, Relations(together=tuple(one.number for one in together)), self.rules())

    def branch(self, project: LabProject, commit: str, branch: str = "main") -> BranchState:
        return BranchState(ProjectName(project.name), branch, Sha(commit))


def report(subject: Change | BranchState, key: str = "lab-1.1:success", verdict: Verdict = Verdict.SUCCESS, **more: Any) -> Report:
    """Return a report on `subject` as the gate would make it."""
    given: dict[str, Any] = {"pipeline": PipelineName("check"), "reason": "passed", **more}
    return Report(key=key, item=ItemId(key.partition(".")[0]), subject=subject, verdict=verdict, **given)


@dataclass
class Queue:
    """What a gate would have tested: each change merged on the one before, the first on the branch's tip."""

    desk: Desk
    project: LabProject
    branch: str = "main"
    tip: str = ""
    tree: str = ""
    count: int = 0

    def __post_init__(self) -> None:
        self.tip = self.project.tip(self.branch) or ""
        self.tree = self.project.tree(self.tip)

    def submit(self, lab: LabChange, *, keep: bool = True, together: tuple[LabChange, ...] = ()) -> Submit:
        """Stage `lab` on what stands, with `keep` as the commit itself where it goes forward; return what the gate would ask for."""
        self.project.bring(lab.commit)
        git = self.project.workbench.git
        tree = git("merge-tree", "--write-tree", self.tip, lab.commit).splitlines()[0]
        forward = git("merge-base", self.tip, lab.commit).strip() == self.tip
        who = {f"GIT_{role}_{what}": "gate@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        made = git("commit-tree", "-p", self.tip, "-p", lab.commit, "-m", "staged", tree, extra=who).strip()
        commit = lab.commit if keep and forward else made
        self.count += 1
        submit = Submit(
            build_set=BuildSetId(f"lab-{self.count}.1"),
            change=self.desk.change(lab, together),
            onto=Sha(self.tip),
            commit=Sha(commit),
            tree=Sha(tree),
            mode=MergeMode.MERGE_IF_NECESSARY,
            onto_tree=Sha(self.tree),
        )
        self.tip, self.tree = commit, tree
        return submit


@contextmanager
def wire(site: GerritSite, lose: Lose) -> Iterator[str]:
    """Give the address of a wire to the REST of `site` on which `lose` says what becomes of each answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fate = lose(self.command, self.path)
            if fate == "refuse":
                self._answer(503, {}, b"busy")
                return
            there = http.client.HTTPConnection("127.0.0.1", site.http_port, timeout=30)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection", "accept-encoding")}
            there.request(self.command, self.path, body, headers)
            reply = there.getresponse()
            content = reply.read()
            there.close()
            if fate == "lose":
                self.close_connection = True
                self.connection.close()
            elif fate == "hide":
                self._answer(503, {}, b"busy")
            else:
                kept = {name: value for name, value in reply.getheaders() if name.lower() in ("content-type", "x-fyi-content-encoding")}
                self._answer(reply.status, kept, content)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = _pass  # noqa: N815 - the names that http.server looks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="gerrit-wire", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)
