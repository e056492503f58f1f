"""The part of a check-up that is about the whole Gerrit: is it there, who are we, how does it tell us what happens."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from torii.config.secrets import resolve
from torii.config.settings import EventsBy, GerritConnection, Transport
from torii.errors import OperatorError
from torii.model.finding import Finding, Verdict
from torii.sources.gerrit.errors import GerritError, GerritRefusedError
from torii.sources.gerrit.rest import GerritRest
from torii.sources.gerrit.ssh import SshConnection

TESTED = (3, 10)
"""The oldest Gerrit that Torii is tested with."""

CLOCKS_APART = 60.0
"""Seconds that the clocks may differ before somebody should hear of it."""

_LOGIN = 401


def reachable(rest: GerritRest, connection: GerritConnection) -> Finding:
    """Return whether Gerrit answers, and which it is."""
    try:
        version = str(rest.get("config/server/version"))
    except GerritRefusedError as error:
        if error.status == _LOGIN:
            return Finding("reachable", Verdict.FAIL, str(error), _password(connection))
        return Finding("reachable", Verdict.FAIL, str(error))
    except OperatorError as error:
        return Finding("reachable", Verdict.FAIL, str(error))
    number = re.match(r"(\d+)\.(\d+)", version)
    if number and (int(number[1]), int(number[2])) < TESTED:
        oldest = ".".join(map(str, TESTED))
        return Finding("reachable", Verdict.WARN, f"Gerrit {version} answers", f"Torii is tested with {oldest} and later: upgrade it")
    return Finding("reachable", Verdict.PASS, f"Gerrit {version} answers")


def account_findings(rest: GerritRest, connection: GerritConnection) -> Iterator[Finding]:
    """Yield whether Gerrit knows us by user and password."""
    if connection.password is None:
        yield Finding("account", Verdict.FAIL, "no password is configured", f"give connections.{connection.name} a password")
        return
    try:
        account = rest.get("accounts/self")
    except OperatorError as error:
        advice = _password(connection) if isinstance(error, GerritRefusedError) else ""
        yield Finding("account", Verdict.FAIL, str(error), advice)
        return
    email = account.get("email")
    if not email:
        words = f"{connection.user!r} is known, but has no e-mail address, so that Gerrit takes no commit of its"
        yield Finding("account", Verdict.WARN, words, f"give it one: gerrit set-account --add-email ADDRESS {connection.user}")
    else:
        yield Finding("account", Verdict.PASS, f"{connection.user!r} is {account.get('name', 'nameless')} <{email}>")


def server_findings(rest: GerritRest, connection: GerritConnection) -> Iterator[Finding]:
    """Yield what is to be said of clocks and webhooks."""
    yield _clock(rest)
    if connection.events in (EventsBy.WEBHOOKS, EventsBy.BOTH):
        yield from _webhooks(rest, connection)


def event_findings(rest: GerritRest, connection: GerritConnection) -> Iterator[Finding]:
    """Yield whether SSH lets us in, knows its host key to us, and may stream."""
    by_stream = connection.events in (EventsBy.STREAM, EventsBy.BOTH)
    if not by_stream and connection.git is not Transport.SSH:
        return
    try:
        with SshConnection(connection) as ssh:
            ran = ssh.run("gerrit version", connection.timeout)
            yield Finding("ssh", Verdict.PASS, f"{ssh.shown} shows the known host key and lets us in")
        if ran.status:
            yield Finding("ssh", Verdict.WARN, f"it does not run commands: {ran.complaint}")
    except GerritError as error:
        yield Finding("ssh", Verdict.FAIL, str(error))
    if by_stream:
        yield _stream(rest, connection)


def _stream(rest: GerritRest, connection: GerritConnection) -> Finding:
    try:
        able = rest.get("accounts/self/capabilities")
    except GerritError as error:
        return Finding("stream", Verdict.UNKNOWN, str(error))
    if able.get("streamEvents") or able.get("administrateServer"):
        return Finding("stream", Verdict.PASS, f"{connection.user!r} may stream events")
    advice = "allow 'Stream Events' under Global Capabilities of All-Projects to a group of Torii's ('torii gerrit setup' does it)"
    return Finding("stream", Verdict.FAIL, f"{connection.user!r} may not stream events", advice)


def _clock(rest: GerritRest) -> Finding:
    theirs = rest.server_time()
    if theirs is None:
        return Finding("clock", Verdict.UNKNOWN, "Gerrit does not say what time it is")
    apart = theirs - time.time()
    words = f"Gerrit's clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} ours"
    if abs(apart) > CLOCKS_APART:
        advice = "set both by NTP. Torii goes by Gerrit's clock, so nothing is lost, but times will look odd"
        return Finding("clock", Verdict.WARN, words, advice)
    return Finding("clock", Verdict.PASS, words)


def _webhooks(rest: GerritRest, connection: GerritConnection) -> Iterator[Finding]:
    secret = connection.webhook_secret
    try:
        if secret is not None:
            resolve(secret)
    except OperatorError as error:
        yield Finding("webhooks", Verdict.FAIL, str(error))
    # The plug-in has a REST of its own: where that is not there the plug-in is not; who may read it does not matter.
    try:
        rest.get("config/server/webhooks~projects/All-Projects/remotes/")
    except GerritRefusedError as error:
        if "webhooks~" in error.text:
            advice = "install the plug-in and restart Gerrit, or set events: stream"
            yield Finding("webhooks", Verdict.FAIL, "Gerrit has no plug-in 'webhooks'", advice)
            return
    except GerritError as error:
        yield Finding("webhooks", Verdict.UNKNOWN, str(error))
        return
    where = f"its webhooks.config must name Torii's address /webhooks/{connection.name}"
    yield Finding("webhooks", Verdict.PASS, f"Gerrit has the plug-in 'webhooks'; {where}")


def _password(connection: GerritConnection) -> str:
    reference = f" ({connection.password.reference})" if connection.password else ""
    return (
        f"make {connection.user!r} an HTTP password or token on Gerrit (Settings, HTTP Credentials) and put it where "
        f"connections.{connection.name}.password{reference} points to"
    )
