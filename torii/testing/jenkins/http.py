"""Requests and responses as values, and the pages that Jenkins answers with where something is wrong."""

from __future__ import annotations

import gzip
import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

VERSION = "2.372"
_PERMISSIONS = {"Overall": "Hudson", "Job": "Item", "Agent": "Computer"}
HTML = "text/html;charset=utf-8"


@dataclass(slots=True)
class Request:
    """A request. `path` has the decoded parts of the path below the base, `target` the path and query as they were sent, with the base."""

    method: str
    target: str
    path: tuple[str, ...]
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""
    user: str = ""
    slash: bool = True

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of a parameter."""
        return self.query.get(name, [default])[0]


@dataclass(slots=True)
class Response:
    """An answer; a body that is not bytes goes out in chunks."""

    status: int = 200
    body: bytes | Iterator[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)
    squeeze: bool = False

    def squeezed(self, accepted: str) -> Response:
        """Return it gzipped, if it may be and the client takes that."""
        if self.squeeze and isinstance(self.body, bytes) and self.body and "gzip" in accepted:
            self.body = gzip.compress(self.body, 1)
            self.headers["Content-Encoding"] = "gzip"
        return self


class Answer(Exception):  # noqa: N818  # it is no error of the program's
    """Ends the handling of a request with this response."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def json_answer(value: Any) -> Response:
    """Return `value` as Jenkins' API answers."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(200, body, {"Content-Type": "application/json;charset=utf-8", **_jenkins(), "X-Frame-Options": "deny"}, squeeze=True)


def page(title: str, status: int = 200, **headers: str) -> Response:
    """Return one of Jenkins' pages, as far as a program could care."""
    body = (
        f'\n  \n  <!DOCTYPE html><html><head resURL="/static/20e6ba95"><title>{html.escape(title)}</title></head>'
        f'<body data-model-type="hudson.model.Hudson" id="jenkins" class="yui-skin-sam one-column jenkins-{VERSION}" '
        f'data-version="{VERSION}"><div id="main-panel"><h1>{html.escape(title)}</h1></div></body></html>'
    )
    return Response(status, body.encode(), {"Content-Type": HTML, **_jenkins(), **headers}, squeeze=True)


def oops() -> Response:
    """Return the page of an exception in Jenkins."""
    return page("Oops! A problem occurred while processing the request. Logging ID=228f9a44-68ab-4c30-b8ae-85f1748802e1", 500)


def refused(message: str) -> Response:
    """Return the page of a request that Jenkins finds wrong."""
    return page(f"Error {message}", 400, **{"X-Error": re.sub(r"[^ -~\xa0-\xff]", " ", message).strip()})


def nothing_submitted(target: str) -> Response:
    """Return what a build without the form for its parameters gets."""
    return jetty(400, "Nothing is submitted", target)


def moved(url: str, status: int = 302) -> Response:
    """Return a redirect."""
    return Response(status, b"", {"Location": url})


def jetty(status: int, reason: str, target: str) -> Response:
    """Return the error page of the web server below Jenkins."""
    uri = html.escape(target.partition("?")[0])
    body = (
        '<html>\n<head>\n<meta http-equiv="Content-Type" content="text/html;charset=ISO-8859-1"/>\n'
        f"<title>Error {status} {reason}</title>\n</head>\n<body><h2>HTTP ERROR {status} {reason}</h2>\n"
        f"<table>\n<tr><th>URI:</th><td>{uri}</td></tr>\n"
        f"<tr><th>STATUS:</th><td>{status}</td></tr>\n<tr><th>MESSAGE:</th><td>{reason}</td></tr>\n"
        "<tr><th>SERVLET:</th><td>Stapler</td></tr>\n</table>\n"
        '<hr/><a href="https://eclipse.org/jetty">Powered by Jetty:// 10.0.12</a><hr/>\n\n</body>\n</html>\n'
    )
    headers = {"Content-Type": "text/html;charset=iso-8859-1", "Cache-Control": "must-revalidate,no-cache,no-store"}
    return Response(status, body.encode("latin-1", "replace"), headers)


def missing(target: str) -> Response:
    """Return what is said of anything that is not there."""
    return jetty(404, "Not Found", target)


def elsewhere() -> Response:
    """Return the 404 of a build's page that its plug-in does not make."""
    body = b"<html><head><meta http-equiv='refresh' content='1;url=..'/><script>window.location.replace('..');</script></head>"
    return Response(404, body + b"<body style='background-color:white; color:white;'>Not found</body></html>", {"Content-Type": HTML})


def unauthorized(target: str) -> Response:
    """Return what wrong credentials get."""
    answer = jetty(401, "Unauthorized", target)
    answer.headers["WWW-Authenticate"] = 'Basic realm="Jenkins"'
    return answer


def login_first(target: str) -> Response:
    """Return what anonymous gets: 403, and a page that leads to the login."""
    where = f"/login?from={quote(target, safe='')}"
    body = (
        f"<html><head><meta http-equiv='refresh' content='1;url={where}'/><script>window.location.replace('{where}');</script></head>"
        "<body style='background-color:white; color:white;'>\n\n\nAuthentication required\n<!--\n-->\n\n</body></html>"
    )
    padded = body.encode() + b" " * 4000
    return Response(403, padded, {"Content-Type": HTML, **_jenkins(), "X-Hudson": "1.395"})


def forbidden(user: str, permission: str) -> Response:
    """Return what an account without the permission gets."""
    kind, _, what = permission.partition("/")
    required = f"hudson.model.{_PERMISSIONS.get(kind, kind)}.{what}"
    told = {"X-You-Are-Authenticated-As": user, "X-You-Are-In-Group-Disabled": "JENKINS-39402", "X-Required-Permission": required}
    return page(f"Access Denied: {user} is missing the {permission} permission", 403, **told)


def no_crumb(target: str) -> Response:
    """Return what a password without a crumb gets."""
    return jetty(403, "No valid crumb was included in the request", target)


def _jenkins() -> dict[str, str]:
    return {"X-Jenkins": VERSION, "X-Jenkins-Session": "20e6ba95"}
