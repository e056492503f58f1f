"""Carries requests to one Jenkins: kept connections, time limits, who Torii is there, and what may be asked again.

What alters something is sent once, except where Jenkins refused it for want of a crumb: then nothing happened, and it is sent once more.
An API token needs no crumb; a password needs one together with the cookie of its session, and a Jenkins that was restarted forgets both.
GETs follow redirects within Jenkins' own origin only: our credentials go nowhere else. Redirects that answer a POST are never followed;
they only say which page a browser would see next.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import structlog
from requests.auth import AuthBase, HTTPBasicAuth

from torii.config.secrets import resolve
from torii.config.settings import JenkinsSettings, Secret
from torii.http.line import Line, TooLargeError
from torii.jenkins import replies
from torii.jenkins.errors import JenkinsElsewhereError, JenkinsError, JenkinsReplyTooLargeError, JenkinsUnavailableError
from torii.jenkins.pulse import Pulse

log = structlog.get_logger()

_T = TypeVar("_T")

MAX_REPLY = 64 * 1024 * 1024
"""Bytes of a reply, unpacked. A folder of 10,000 jobs with their descriptions is about a tenth of that."""

_CONNECT = 5.0
"""Seconds for reaching the server: as long as a stop may take."""

_WHOLE = 4.0
"""How many times the time limit a whole reply may take: the limit itself is for the silence between two pieces."""

_PAUSES = (0.3, 1.0, 3.0)
"""Seconds before the second, third and fourth attempt at a GET."""

KEPT = 20.0
"""Seconds for which a connection that nobody uses is kept. Jenkins ends it after 30, and a POST must not be the one that finds out."""

_SPARE = 16
"""Connections that are kept at most while nobody uses them."""

_HOPS = 5
_SHOWN = 200
_PIECE = 64 * 1024
_LOGIN_PAGE = re.compile(r"(?<!/job)/(login|securityRealm|commenceLogin|oauth2?|saml2?|sso)(/|$)", re.IGNORECASE)
"""Addresses of login pages; a job or a folder may be called so."""


@dataclass(eq=False)
class Session:
    """One kept connection and what belongs to it: a crumb is good only with its session's cookie."""

    line: Line
    requests: requests.Session
    crumb: dict[str, str] = field(default_factory=dict)
    used_at: float = 0.0


class Wire:
    """Requests to the Jenkins of `settings`, from any number of threads. `crumb_url` is where a crumb is fetched.

    Every method raises JenkinsUnavailableError, JenkinsRefusedError or another JenkinsError, and OperatorError where the token cannot be
    read. `patience` multiplies the pauses between attempts; unused connections are `kept` for so many seconds.
    """

    def __init__(self, settings: JenkinsSettings, crumb_url: str, patience: float = 1.0, kept: float = KEPT) -> None:
        self.settings = settings
        self._crumb_url = crumb_url
        self._patience = patience
        self._kept = kept
        self._origin = _origin(settings.url)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._idle: list[Session] = []
        self._busy: set[Session] = set()
        self.crumbs = False
        """Whether a crumb was needed."""
        self.pulse = Pulse()

    def get(self, url: str, params: Mapping[str, str] | None = None, largest: int = MAX_REPLY) -> requests.Response:
        """Return the whole answer to a GET. What may pass is asked for again, a few times, in about twice the time limit."""
        return self._patiently(url, lambda: self._felt(lambda: self._whole("GET", url, params, None, None, largest)))

    def post(
        self,
        url: str,
        data: bytes | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """POST `data` (a mapping as a form) and return the answer, a redirect too. Sent once."""
        return self._felt(lambda: self._whole("POST", url, params, data, headers, MAX_REPLY))

    def stream(self, url: str, params: Mapping[str, str] | None = None) -> Stream:
        """Begin a GET whose answer is read in pieces, and closed by whoever does not read it to its end. As patient as `get`.

        Raises JenkinsElsewhereError where another host has what was asked for.
        """
        return self._patiently(url, lambda: self._felt(lambda: self._begin(url, params)))

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass, or fewer where `close` is called."""
        self._stopping.wait(seconds)

    def close(self) -> None:
        """End the calls under way, and any later one, with JenkinsUnavailableError."""
        self._stopping.set()
        with self._lock:
            busy, idle = list(self._busy), self._idle
            self._idle = []
        for session in busy:
            session.line.cut()
        for session in idle:
            session.requests.close()

    def _felt(self, ask: Callable[[], _T]) -> _T:
        """Do `ask`, and remember whether Jenkins answered."""
        try:
            answer = ask()
        except JenkinsUnavailableError as error:
            if not self._stopping.is_set():
                self.pulse.failed(error)
            raise
        except JenkinsError:
            self.pulse.answered()
            raise
        self.pulse.answered()
        return answer

    def _patiently(self, url: str, ask: Callable[[], _T]) -> _T:
        deadline = time.monotonic() + 2 * self.settings.timeout
        for pause in _PAUSES:
            try:
                return ask()
            except JenkinsUnavailableError as error:
                wait = max(pause * self._patience * random.uniform(0.5, 1.0), error.retry_after or 0.0)
                if self._stopping.is_set() or time.monotonic() + wait >= deadline:
                    raise
                log.info(
                    "jenkins.asked_again", jenkins=self.settings.name, url=replies.plain(url), next_in=round(wait, 1), reason=str(error)
                )
            if self._stopping.wait(wait):
                break
        return ask()

    def _whole(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None,
        data: bytes | Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        largest: int,
    ) -> requests.Response:
        """Send one request, and for a GET those it is sent on to, and return the answer, all of it read."""
        session = self._take()
        usable = False
        try:
            with session.line.cut_after(self.settings.timeout * _WHOLE):
                session.line.largest = largest
                response = self._send(session, method, url, params=params, data=data, headers=headers)
                if method != "GET" and response.status_code == 403 and replies.NO_CRUMB in response.text:
                    self._fetch_crumb(session)
                    response = self._send(session, method, url, params=params, data=data, headers=headers)
            usable = True
        except JenkinsError:
            usable = True
            raise
        except Exception as error:
            raise self.failed(method, url, session.line, error) from error
        finally:
            self.give_back(session, usable)
        return self._checked(method, response)

    def _begin(self, url: str, params: Mapping[str, str] | None) -> Stream:
        session = self._take()
        try:
            with session.line.cut_after(self.settings.timeout * _WHOLE):
                session.line.largest = None
                response = self._send(session, "GET", url, params=params, stream=True)
            if response.status_code == 200:
                return Stream(self, session, response)
        except Exception as error:
            self.give_back(session, usable=False)
            raise self.failed("GET", url, session.line, error) from error
        self.give_back(session, usable=False)
        target = urljoin(response.url, response.headers.get("Location", ""))
        if response.is_redirect and _origin(target) != self._origin and not self._is_login(urlsplit(target).path):
            raise JenkinsElsewhereError(
                f"{replies.where(self.settings, 'GET', url)}: it is not in Jenkins itself, but at {replies.plain(target)[:_SHOWN]}, "
                "to which Torii's login does not go"
            )
        # What it says instead is read as every refusal is, within its limits.
        self._whole("GET", url, params, None, None, MAX_REPLY)
        raise JenkinsUnavailableError(f"{replies.where(self.settings, 'GET', url)}: {response.status_code}, and then it was there")

    def _send(self, session: Session, method: str, url: str, **named: Any) -> requests.Response:
        """Send, follow what may be followed, and return the last answer. Raises what requests raises."""
        limit = self.settings.timeout
        headers = {**(named.pop("headers", None) or {}), **(session.crumb if method != "GET" else {})}
        for _ in range(_HOPS):
            response = session.requests.request(
                method, url, timeout=(min(limit, _CONNECT), limit), allow_redirects=False, headers=headers, **named
            )
            target = urljoin(url, response.headers.get("Location", ""))
            if method != "GET" or not response.is_redirect or self._is_elsewhere(target):
                break
            response.close()
            url, named["params"] = target, None
        return response

    def _fetch_crumb(self, session: Session) -> None:
        session.crumb, self.crumbs = {}, True
        response = self._checked("GET", self._send(session, "GET", self._crumb_url))
        try:
            found = response.json()
            session.crumb = {str(found["crumbRequestField"]): str(found["crumb"])}
        except (ValueError, LookupError, TypeError):
            raise replies.not_jenkins(self.settings, "GET", response) from None

    def _checked(self, method: str, response: requests.Response) -> requests.Response:
        """Return `response` where Jenkins did what it was asked. Raises the error that it is otherwise."""
        if response.status_code >= 400:
            raise replies.refusal(self.settings, method, response)
        if 300 <= response.status_code < 400 and (method == "GET" or self._leads_away(response)):
            raise replies.not_jenkins(self.settings, method, response)
        return response

    def _leads_away(self, response: requests.Response) -> bool:
        """Whether a redirect that answers a POST is one to a login: those of Jenkins lead to a page of its own, without a query."""
        target = urlsplit(urljoin(response.url, response.headers.get("Location", "")))
        return self._is_login(target.path) or (_origin(target.geturl()) != self._origin and bool(target.query))

    def _is_elsewhere(self, target: str) -> bool:
        return _origin(target) != self._origin or self._is_login(urlsplit(target).path)

    def _is_login(self, path: str) -> bool:
        return bool(_LOGIN_PAGE.search(path.removeprefix(urlsplit(self.settings.url).path.rstrip("/"))))

    def failed(self, method: str, url: str, line: Line, error: Exception) -> JenkinsError:
        """Return what `error`, which came instead of an answer, means."""
        start = replies.where(self.settings, method, url)
        if self._stopping.is_set():
            return JenkinsUnavailableError(f"{start}: Torii is stopping")
        if line.was_cut:
            return JenkinsUnavailableError(f"{start}: the reply did not end within {self.settings.timeout * _WHOLE:.0f} s")
        if isinstance(error, TooLargeError):
            return JenkinsReplyTooLargeError(f"{start}: the reply has more than {line.largest} bytes")
        if isinstance(error, JenkinsError):
            return error
        if isinstance(error, requests.RequestException | OSError | ValueError | LookupError):
            return replies.no_reply(self.settings, method, url, error)
        raise error

    def _take(self) -> Session:
        with self._lock:
            if self._stopping.is_set():
                raise JenkinsUnavailableError(f"Jenkins {self.settings.name!r} is not asked any more: Torii is stopping")
            # The last one used comes first; if that is old, all are.
            stale = self._idle if self._idle and time.monotonic() - self._idle[-1].used_at > self._kept else []
            self._idle = [] if stale else self._idle
            session = self._idle.pop() if self._idle else self._open()
            self._busy.add(session)
        for each in stale:
            each.requests.close()
        return session

    def give_back(self, session: Session, usable: bool) -> None:
        """Let another request go through `session`, if it is `usable`: nothing of its answer is left unread."""
        with self._lock:
            self._busy.discard(session)
            if usable and not session.line.was_cut and not self._stopping.is_set() and len(self._idle) < _SPARE:
                session.used_at = time.monotonic()
                self._idle.append(session)
                return
        session.requests.close()

    def _open(self) -> Session:
        line = Line(MAX_REPLY)
        session = requests.Session()
        session.mount("http://", line)
        session.mount("https://", line)
        session.auth = _Login(self.settings.user, self.settings.token)
        # Proxies and certificates that the environment names are looked up once, not at each request; a `ca` of ours goes before those.
        found = session.merge_environment_settings(self.settings.url, {}, None, None, None)
        session.trust_env, session.proxies = False, found["proxies"]
        session.verify = found["verify"] if self.settings.ca is None else str(self.settings.ca)
        return Session(line, session)


class Stream:
    """An answer that is read in pieces, by one thread at a time. `headers` are the answer's."""

    def __init__(self, wire: Wire, session: Session, response: requests.Response) -> None:
        self.headers = response.headers
        self._wire = wire
        self._session = session
        self._response = response
        self._pieces: Iterator[bytes] = response.iter_content(_PIECE)
        self._open = True

    def read(self, size: int) -> bytes:
        """Return at least `size` bytes, unpacked, and at most a piece more; fewer only at the end. Raises JenkinsError."""
        found = bytearray()
        while self._open and len(found) < size:
            found += self._next()
        return bytes(found)

    def close(self) -> None:
        """Read no more of it."""
        self._end(usable=False)

    def not_jenkins(self, due: str) -> JenkinsUnavailableError:
        """Return the error for an answer that is not what was `due`, and close it."""
        self.close()
        settings = self._wire.settings
        kind = self.headers.get("Content-Type", "something")
        return JenkinsUnavailableError(
            f"{replies.where(settings, 'GET', self._response.url)}: it answers with {kind}, where Jenkins' {due} was due. Is `url` of "
            f"jenkins.{settings.name} the address of Jenkins itself, and does the server in front of it leave Jenkins' headers alone?"
        )

    def _next(self) -> bytes:
        settings, line = self._wire.settings, self._session.line
        try:
            with line.cut_after(settings.timeout * _WHOLE):
                piece = next(self._pieces, None)
        except Exception as error:
            self._end(usable=False)
            raise self._wire.failed("GET", self._response.url, line, error) from error
        if piece is None:
            self._end(usable=True)
        return piece or b""

    def _end(self, usable: bool) -> None:
        if self._open:
            self._open = False
            self._wire.give_back(self._session, usable)


class _Login(AuthBase):
    """Logs each request in. The token is read anew each time, so that a new one is taken without a restart and none is kept."""

    def __init__(self, user: str, token: Secret | None) -> None:
        self._user = user
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is None:
            return request
        done: requests.PreparedRequest = HTTPBasicAuth(self._user.encode(), resolve(self._token).encode())(request)
        return done


def _origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: what must be the same for our credentials to go there."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    return parts.scheme, parts.hostname or "", port or (443 if parts.scheme == "https" else 80)
