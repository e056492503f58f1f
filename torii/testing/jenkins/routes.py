"""Who asks, and for what: accounts, crumbs and permissions, then the controller's own pages; jobs and builds have theirs elsewhere."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass

from torii.testing.jenkins import build_pages, job_pages
from torii.testing.jenkins.core import BadNameError, Core
from torii.testing.jenkins.http import (
    Answer,
    Request,
    Response,
    elsewhere,
    forbidden,
    json_answer,
    login_first,
    missing,
    moved,
    no_crumb,
    oops,
    page,
    refused,
    unauthorized,
)
from torii.testing.jenkins.jobconfig import BadXmlError
from torii.testing.jenkins.rendering import Shown, TreeError, by_depth, by_tree, parse_tree
from torii.testing.jenkins.shapes import Shapes
from torii.testing.jenkins.state import Job, Node

ALL = frozenset({"*"})
READING = frozenset({"Overall/Read", "Job/Read", "View/Read"})


@dataclass
class Account:
    """Somebody who may log in. `permissions` are such as `Job/Build`; `*` is all of them."""

    token: str = ""
    password: str = ""
    permissions: frozenset[str] = ALL


class Routes:
    """Answers requests for what `core` has. `anonymous` are the permissions without an account."""

    def __init__(self, core: Core, shapes: Shapes, accounts: dict[str, Account], plugins: dict[str, str]) -> None:
        self.core, self.shapes, self.accounts, self.plugins = core, shapes, accounts, plugins
        self.anonymous: frozenset[str] = READING
        self.sessions: dict[str, str] = {}

    def __call__(self, request: Request) -> Response:
        """Answer `request`."""
        try:
            session = self._login(request)
            with self.core.lock:
                answer = self._route(request)
            if session:
                answer.headers.setdefault("Set-Cookie", f"JSESSIONID.20e6ba95={session}; Path=/; HttpOnly")
        except Answer as end:
            return end.response
        except BadNameError as error:
            return refused(str(error))
        except (BadXmlError, TreeError, ValueError):
            return oops()
        return answer

    # -- who asks

    def _login(self, request: Request) -> str:
        """Find out who asks; return the id of a new session, if there is one. Raises `Answer`."""
        header = request.headers.get("Authorization", "")
        token = False
        if header.startswith("Basic "):
            name, _, secret = base64.b64decode(header[6:] + "==").decode("utf-8", "replace").partition(":")
            account = self.accounts.get(name)
            if account is None or not secret or secret not in (account.token, account.password):
                raise Answer(unauthorized(request.target))
            request.user, token = name, secret == account.token
        session = _session(request)
        if request.method == "POST" and not token:
            given = request.headers.get("Jenkins-Crumb") or request.get("Jenkins-Crumb")
            if session not in self.sessions or given != crumb(session):
                raise Answer(no_crumb(request.target))
        if token or not request.user or session in self.sessions:
            return ""
        session = secrets.token_hex(8)
        self.sessions[session] = request.user
        return session

    def may(self, request: Request, permission: str) -> bool:
        """Whether whoever asks has `permission`."""
        has = self.anonymous | (self.accounts[request.user].permissions if request.user else frozenset())
        return "*" in has or permission in has

    def need(self, request: Request, permission: str) -> None:
        """Raise `Answer` where whoever asks has no such permission."""
        if not self.may(request, permission):
            raise Answer(forbidden(request.user, permission) if request.user else login_first(request.target))

    def post_only(self, request: Request) -> None:
        """Raise `Answer` unless it is a POST."""
        if request.method != "POST":
            raise Answer(page("This URL requires POST", 405))

    # -- what for

    def _route(self, request: Request) -> Response:
        if request.path[:1] != ("login",):
            self.need(request, "Overall/Read")
        match request.path:
            case ("job", *_):
                return self._job(request)
            case ():
                return page("Dashboard [Jenkins]")
            case ("api",):
                return moved(f"{self.shapes.root}api/") if not request.slash else page("Remote API [Jenkins]")
            case ("api", kind):
                return self.api(request, self.shapes.hudson(), kind)
            case ("login",):
                return page("Sign in [Jenkins]")
            case ("crumbIssuer", "api", "json"):
                return self._crumb(request)
            case (("me" | "whoAmI") as which, "api", "json"):
                return self._me(request, which)
            case ("user", name, "api", kind) if name in self.accounts:
                return self.api(request, self.shapes.user(name), kind)
            case ("createItem",):
                return job_pages.create(self, request, "")
            case ("pluginManager", "api", kind):
                self.need(request, "Overall/Administer")
                return self.api(request, self.shapes.plugins(self.plugins), kind)
            case ("quietDown" | "cancelQuietDown",):
                return self._quiet(request)
            case ("queue", *rest):
                return self._queue(request, rest)
            case ("computer", *rest):
                return self._computer(request, rest)
            case ("view", name, *rest) if name.lower() == "all":
                return self._view(request, rest)
        return missing(request.target)

    def _view(self, request: Request, rest: list[str]) -> Response:
        match rest:
            case ["api", kind]:
                return self.api(request, self.shapes.view(), kind)
            case ["config.xml"]:
                return Response(200, b"<hudson.model.AllView><name>all</name></hudson.model.AllView>", {"Content-Type": "application/xml"})
        return page("All [Jenkins]")

    def api(self, request: Request, shown: Shown, kind: str = "json") -> Response:
        """Return `shown` as the parameters `tree` and `depth` ask for it."""
        if kind != "json":
            return missing(request.target)
        if tree := request.get("tree"):
            return json_answer(by_tree(shown, parse_tree(tree)))
        depth = request.get("depth") or "0"
        return json_answer(by_depth(shown, int(depth)))

    def _job(self, request: Request) -> Response:
        """Walk down the folders to the job, then leave it to its pages."""
        name, rest = "", list(request.path)
        job: Job | None = None
        while len(rest) > 1 and rest[0] == "job":
            name = f"{name}/{rest[1]}" if name else rest[1]
            job = self.core.job(name)
            if job is None or not self.may(request, "Job/Read"):
                raise Answer(missing(request.target) if request.user or job is None else login_first(request.target))
            rest = rest[2:]
        if job is None:
            return missing(request.target)
        if rest and (build := build_pages.find(job, rest[0])) is not None:
            return build_pages.answer(self, request, build, rest[1:])
        return job_pages.answer(self, request, job, rest)

    def _crumb(self, request: Request) -> Response:
        cookie = _session(request)
        session = cookie if cookie in self.sessions else secrets.token_hex(8)
        self.sessions[session] = request.user
        shown = Shown("hudson.security.csrf.DefaultCrumbIssuer").add(1, crumb=crumb(session), crumbRequestField="Jenkins-Crumb")
        answer = json_answer(by_depth(shown, 0))
        if session != cookie:
            answer.headers["Set-Cookie"] = f"JSESSIONID.20e6ba95={session}; Path=/; HttpOnly"
        return answer

    def _me(self, request: Request, which: str) -> Response:
        if which == "me":
            if not request.user:
                return login_first(request.target)
            return self.api(request, self.shapes.user(request.user))
        shown = Shown("hudson.security.WhoAmI").add(1, anonymous=not request.user, authenticated=True)
        authorities = ["authenticated"] if request.user else ["anonymous"]
        return self.api(request, shown.add(1, authorities=authorities, name=request.user or "anonymous"))

    def _quiet(self, request: Request) -> Response:
        self.need(request, "Overall/Administer")
        self.post_only(request)
        self.quiet(request.path[0] == "quietDown", request.get("reason") or None)
        return moved(self.shapes.root)

    def quiet(self, quiet: bool, reason: str | None = None) -> None:
        """Start no more builds, or again."""
        with self.core.lock:
            self.core.quieting, self.core.quiet_reason = quiet, reason if quiet else None
            for node in self.core.nodes:
                self.core.freed(node)
            self.core.maintain()

    def _queue(self, request: Request, rest: list[str]) -> Response:
        match rest:
            case ["api", kind]:
                return self.api(request, self.shapes.queue(), kind)
            case ["item", number, "api", kind] if number.isdigit():
                item = self.core.queue.get(int(number)) or self.core.left.get(int(number))
                return self.api(request, self.shapes.item(item), kind) if item else missing(request.target)
            case ["item", _, *_] if not rest[1].isdigit():
                return oops()
            case ["cancelItem"]:
                self.post_only(request)
                number = request.get("id")
                item = self.core.queue.get(int(number)) if number.isdigit() else None
                if item is None:
                    return oops() if number.isdigit() and int(number) in self.core.left else page("Error", 404)
                self.need(request, "Job/Cancel")
                self.core.cancel(item)
                return Response(204)
        return missing(request.target)

    def _computer(self, request: Request, rest: list[str]) -> Response:
        if rest == ["api", "json"]:
            return self.api(request, self.shapes.computers())
        if not rest:
            return page("Nodes [Jenkins]")
        node = self.core.node(rest[0])
        if node is None:
            return missing(request.target)
        match rest[1:]:
            case [] | [""]:
                return page(node.display)
            case ["api", kind]:
                return self.api(request, self.shapes.computer(node), kind)
            case ["toggleOffline" | "changeOfflineCause"]:
                return self._toggle(request, node)
            case ["config.xml"] if node.name:
                xml = f"<slave><name>{node.name}</name><label>{' '.join(node.spec.labels)}</label></slave>"
                return Response(200, xml.encode(), {"Content-Type": "application/xml"})
        return elsewhere()

    def _toggle(self, request: Request, node: Node) -> Response:
        self.need(request, "Agent/Disconnect")
        self.post_only(request)
        reason = request.get("offlineMessage")
        self.core.toggle(node, not node.temporarily, reason if not node.temporarily else "")
        return moved(f"{self.shapes.root}computer/{node.path_name}/")


def _session(request: Request) -> str:
    cookies = request.headers.get("Cookie", "").split("; ")
    return next((cookie.partition("=")[2] for cookie in cookies if cookie.startswith("JSESSIONID")), "")


def crumb(session: str) -> str:
    """Return the crumb of a session."""
    return hashlib.sha256(f"crumb of {session}".encode()).hexdigest()
