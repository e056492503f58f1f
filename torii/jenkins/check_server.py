"""The Jenkins itself, of a check-up: is it there, which is it, who are we there, what does it call itself."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from torii.errors import OperatorError
from torii.jenkins.controller import Controller
from torii.jenkins.errors import JenkinsError, JenkinsMissingError, JenkinsRefusedError
from torii.jenkins.replies import plain
from torii.model.finding import Finding, Verdict

OLDEST = (2, 277)
_TRIED = "Torii was tried with 2.277.1 and 2.372"


def reachable(controller: Controller) -> Finding:
    """Whether a Jenkins answers at all, and takes our token."""
    try:
        controller.version()
    except JenkinsRefusedError as error:
        if error.permission:
            return Finding("connection", Verdict.FAIL, str(error), "give the account the permission Overall/Read")
        return Finding("connection", Verdict.FAIL, str(error), "make a token for the account in Jenkins, and name it in server.yml")
    except JenkinsMissingError as error:
        return Finding("connection", Verdict.FAIL, str(error), _base(controller))
    except OperatorError as error:
        return Finding("connection", Verdict.FAIL, str(error))
    return Finding("connection", Verdict.PASS, f"Jenkins answers at {plain(controller.settings.url)}")


def _base(controller: Controller) -> str:
    key = f"jenkins.{controller.name}"
    return f"give as `url` of {key} what Jenkins' front page has, with a path such as /jenkins where it has one, and no job's"


def _version(version: str) -> Finding:
    if not version:
        advice = f"look whether it is {OLDEST[0]}.{OLDEST[1]} or later; {_TRIED}"
        return Finding("version", Verdict.UNKNOWN, "something in front of Jenkins hides which version it is", advice)
    found = re.match(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        advice = f"upgrade it to {OLDEST[0]}.{OLDEST[1]} or later; {_TRIED}"
        return Finding("version", Verdict.FAIL, f"it is Jenkins {version}, older than Torii knows", advice)
    return Finding("version", Verdict.PASS, f"it is Jenkins {version}; {_TRIED}")


def account_findings(controller: Controller) -> Iterator[Finding]:
    """Who Torii is there."""
    settings = controller.settings
    if settings.token is None:
        advice = f"give `user` and `token` (env:NAME or file:PATH) in jenkins.{controller.name}"
        yield Finding("account", Verdict.FAIL, "Torii asks as nobody in particular", advice)
        return
    try:
        user = controller.user()
    except JenkinsError as error:
        yield Finding("account", Verdict.FAIL, str(error), _base(controller) if isinstance(error, JenkinsMissingError) else "")
        return
    if user.lower() != settings.user.lower():
        advice = f"name the account that the token belongs to as `user` of jenkins.{controller.name}"
        yield Finding("account", Verdict.WARN, f"Jenkins calls us {user!r}, server.yml says {settings.user!r}", advice)
    else:
        yield Finding("account", Verdict.PASS, f"we are {user}")


def token_findings(controller: Controller) -> Iterator[Finding]:
    """Whether Torii has an API token; asked after something was posted."""
    if controller.needs_crumbs:
        advice = "make an API token for the account (Configure, API Token), which Jenkins asks for nothing more, and give it as `token`"
        yield Finding("token", Verdict.WARN, "Torii logs in with a password: each change needs a crumb and a session beside it", advice)


def server_findings(controller: Controller) -> Iterator[Finding]:
    """What Jenkins says of itself: its version and address, its security, whether it is about to shut down."""
    yield _version(controller.version())
    about = controller.about()
    if about.quieting_down:
        why = f" ({about.quiet_reason})" if about.quiet_reason else ""
        advice = "let it restart, or cancel the shutdown (Manage Jenkins, or POST /cancelQuietDown)"
        yield Finding("shutdown", Verdict.FAIL, f"Jenkins prepares for a shutdown and starts no builds{why}", advice)
    else:
        yield Finding("shutdown", Verdict.PASS, "it starts builds")
    if not about.secured:
        advice = "turn security on (Manage Jenkins, Security), and give Torii's account its permissions"
        yield Finding("security", Verdict.WARN, "security is off: whoever reaches Jenkins may do anything there", advice)
    yield _address(controller, about.url)
    if controller.settings.url.startswith("http:") and not here(controller.settings.url):
        advice = "have Jenkins, or a proxy before it, speak HTTPS"
        yield Finding("encryption", Verdict.WARN, "the token goes through the network as plain text: the address begins with http:", advice)


def link_findings(controller: Controller, pages: str) -> Iterator[Finding]:
    """Whether links from Jenkins to Torii's `pages` lead there for whoever looks at that Jenkins."""
    if here(controller.settings.url) or not (here(pages) or urlsplit(pages).hostname in (None, "0.0.0.0", "::")):
        return
    words = "this Jenkins is on another machine, and links from its jobs and builds lead "
    words += f"to {pages}, which is Torii for nobody but this one" if pages else "nowhere: it is not known where Torii's pages are"
    advice = "set `web: {url: ...}` in server.yml to the address by which people reach Torii's pages, then run `torii sync-jobs`"
    yield Finding("links", Verdict.WARN, words, advice)


def here(url: str) -> bool:
    """Whether `url` leads to this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(controller: Controller, url: str) -> Finding:
    ours = controller.settings.url.rstrip("/")
    if not url:
        advice = f"set the Jenkins URL (Manage Jenkins, System): links in Jenkins lead nowhere without; Torii uses {ours} meanwhile"
        return Finding("address", Verdict.WARN, "Jenkins does not know its own address", advice)
    if url.rstrip("/") == ours:
        return Finding("address", Verdict.PASS, f"it calls itself {url}, as server.yml does")
    if urlsplit(url).path.rstrip("/") != urlsplit(ours).path.rstrip("/"):
        words = f"it calls itself {url}, and Torii reaches it at {ours}: the paths differ"
        return Finding("address", Verdict.WARN, words, "see that links to builds work; Torii itself always asks the address of server.yml")
    return Finding("address", Verdict.PASS, f"it calls itself {url}, where links to builds lead; Torii reaches it at {ours}")
