"""Tells Jenkins' answers from what only looks like one, and puts each refusal and failure in words: what, where, what to do."""

from __future__ import annotations

import html
import re
from urllib.parse import urlsplit, urlunsplit

import requests

from torii.config.settings import JenkinsSettings
from torii.http.words import described, innermost, retry_after, unconnected
from torii.jenkins.errors import (
    JenkinsError,
    JenkinsExistsError,
    JenkinsInvalidError,
    JenkinsMissingError,
    JenkinsRefusedError,
    JenkinsUnavailableError,
)

_SHOWN = 500
_PASSING = {408, 425, 429}
_LACKING = re.compile(r"([^\s<>]+) is missing the ([^<>]{1,80}?) permission")
_MARKUP = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.IGNORECASE | re.DOTALL)
_PANEL = re.compile(r'<div id="main-panel">(.*?)(?:<footer\b|$)', re.IGNORECASE | re.DOTALL)
_MESSAGE = re.compile(r"<th>MESSAGE:</th>\s*<td>(.*?)</td>", re.IGNORECASE | re.DOTALL)
_TAKEN = re.compile(r"job already exists|already exists with the name", re.IGNORECASE)
NO_CRUMB = "No valid crumb"
"""What Jenkins says to a POST of a password's without the crumb of its session."""


def where(settings: JenkinsSettings, method: str, url: str) -> str:
    """Return the beginning of every message: which Jenkins, at which address, was asked for what."""
    shown = urlsplit(url).path.removeprefix(urlsplit(settings.url).path.rstrip("/"))
    shown = shown if len(shown) <= 200 else f"{shown[:200]}..."
    return f"Jenkins {settings.name!r} at {plain(settings.url)}, {method} {shown or '/'}"


def plain(url: str) -> str:
    """Return `url` without what might be secret: a user's name and password, a query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def text_of(response: requests.Response) -> str:
    """Return what a page says, as one line of text: of Jenkins' pages what stands in their middle, of Jetty's the message."""
    page = response.content[:200_000].decode("utf-8", "replace")
    found = _PANEL.search(page) or _MESSAGE.search(page)
    text = html.unescape(_MARKUP.sub(" ", found[1] if found else page))
    if not found and (error := response.headers.get("X-Error", "").strip()):
        return error
    return " ".join(text.split()).removeprefix("Error ")


def not_jenkins(settings: JenkinsSettings, method: str, response: requests.Response, due: str = "JSON") -> JenkinsUnavailableError:
    """Return the error for an answer that is none of Jenkins': a page, or one that sends us elsewhere."""
    start, key = where(settings, method, response.url), f"jenkins.{settings.name}"
    if 300 <= response.status_code < 400:
        target = plain(response.headers.get("Location", "nowhere"))[:_SHOWN]
        return JenkinsUnavailableError(
            f"{start}: it sends us on to {target}, where Jenkins' {due} was due. Is `url` of {key} the address of Jenkins itself, is "
            "Jenkins' own URL (Manage Jenkins, System) the same, and does the server in front of it let an API token through without a "
            "login page?",
            status=response.status_code,
        )
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    what = described(response.content[:20_000].decode("utf-8", "replace"), kind) if response.content else "nothing"
    return JenkinsUnavailableError(
        f"{start}: it answers with {what}, where Jenkins' {due} was due. Is `url` of {key} the address of Jenkins itself, and does the "
        "server in front of it let an API token through without a login page?",
        status=response.status_code,
    )


def refusal(settings: JenkinsSettings, method: str, response: requests.Response) -> JenkinsError:
    """Return the error for a reply whose status is 400 or more."""
    status = response.status_code
    text = text_of(response)
    said = "" if text in (response.reason, f"{status} {response.reason}") else text
    answer = f"{where(settings, method, response.url)}: {status} {response.reason or ''}".rstrip()
    start = f"{answer}: {said[:_SHOWN]}" if said else answer
    if status == 401:
        return JenkinsRefusedError(f"{start}. {_login(settings)}")
    if status == 403:
        return _forbidden(settings, answer, start, response)
    if status == 404:
        return JenkinsMissingError(f"{start}. It is not there, or the account {settings.user!r} may not see it")
    if status == 409:
        return JenkinsInvalidError(f"{start}. The job is disabled in Jenkins")
    if status == 400 and _TAKEN.search(said):
        return JenkinsExistsError(start)
    if status >= 500 or status in _PASSING:
        return JenkinsUnavailableError(start, status=status, retry_after=retry_after(response))
    return JenkinsInvalidError(start)


def _forbidden(settings: JenkinsSettings, answer: str, start: str, response: requests.Response) -> JenkinsRefusedError:
    text = text_of(response)
    lacking = _LACKING.search(text)
    if lacking is not None:
        return JenkinsRefusedError(
            f"{answer}: the account {lacking[1]!r} lacks the permission {lacking[2]}. Give it to the account in Jenkins; "
            "`torii jenkins check` says what else is lacking",
            permission=lacking[2],
        )
    permission = response.headers.get("X-Required-Permission", "")
    if NO_CRUMB in text:
        return JenkinsRefusedError(
            f"{start}. Jenkins forgets the session of the password: give an API token as `token` of jenkins.{settings.name}, which "
            "needs none"
        )
    return JenkinsRefusedError(f"{start}. {_login(settings)}", permission=permission)


def no_reply(settings: JenkinsSettings, method: str, url: str, error: Exception) -> JenkinsError:
    """Return the error for a request that was not answered at all, or with something broken."""
    start, key = where(settings, method, url), f"jenkins.{settings.name}"
    match error:
        case requests.exceptions.SSLError() if "WRONG_VERSION_NUMBER" in innermost(error):
            words = f"TLS fails: what listens there speaks no TLS. Is it http, not https, in `url` of {key}, or another port?"
        case requests.exceptions.SSLError():
            words = f"TLS fails: {innermost(error)}. For a certificate of your own, give its file as `ca` of {key}"
        case requests.exceptions.ProxyError():
            words = f"the proxy that the environment names fails: {innermost(error)}"
        case requests.exceptions.ConnectTimeout():
            words = "nobody answers at this address; is Jenkins up, and does no firewall drop the packets?"
        case requests.exceptions.Timeout():
            words = f"no answer within {settings.timeout:g} s. If this Jenkins is that slow, raise `timeout` of {key}"
        case requests.exceptions.ChunkedEncodingError() | requests.exceptions.ContentDecodingError():
            words = f"the reply is cut or garbled: {innermost(error)}"
        case requests.exceptions.ConnectionError() if "timed out" in innermost(error):
            words = f"the reply stopped for {settings.timeout:g} s in its middle"
        case requests.exceptions.ConnectionError():
            words = unconnected(error, "Jenkins")
        case requests.exceptions.RequestException():
            return JenkinsError(f"{start}: {innermost(error)}. Check `url` of {key}")
        case _:
            words = f"the reply is cut or garbled: {innermost(error)}"
    return JenkinsUnavailableError(f"{start}: {words}"[: 2 * _SHOWN])


def _login(settings: JenkinsSettings) -> str:
    key = f"jenkins.{settings.name}"
    if settings.token is None:
        return f"Torii asks as nobody in particular: give `user` and `token` (env:NAME or file:PATH) in {key}"
    return f"Check `user` ({settings.user}) and `token` of {key}: the token is made in Jenkins by that user (Configure, API Token)"
