"""Looks, before anything is made, whether the demo can be played on a Jenkins: all that is missing is told at once, with what to do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress

from torii.demo.jenkins_sweep import cut_at, owner_in
from torii.demo.jenkins_venue import OWNERS, Venue, shown
from torii.demo.projects import REPOSITORIES
from torii.errors import OperatorError
from torii.gearman.admin import Address, GearmanUnavailableError, functions
from torii.gearman.functions import MERGE
from torii.jenkins import Controller, JenkinsMissingError, Job
from torii.jenkins.check_nodes import node_findings
from torii.jenkins.check_plugins import plugin_findings
from torii.jenkins.check_rights import right_findings
from torii.jenkins.check_server import account_findings, reachable, server_findings
from torii.jenkins.surroundings import PluginNeed, Surroundings
from torii.jobs.names import job_name
from torii.jobs.plugins import GIT, JUNIT
from torii.model.finding import Finding, Verdict

_ANSWER = 3.0
_FIRST = ("connection", "account")
"""Topics of a check-up without which there is no use in looking further."""

_PLUGINS = tuple(
    PluginNeed(part.plugin, part.what, without, required=True)
    for part, without in ((GIT, GIT.without), (JUNIT, "the story cannot come out right: it tells which test fails"))
)
_SURROUNDINGS = Surroundings(workers=dict, plugins=_PLUGINS)


class NoJenkinsError(OperatorError):
    """The Jenkins is not fit for the demo, or cannot be used by it."""

    exit_code = 1  # as whenever the demo does not come out right


def require_jenkins(controller: Controller, venue: Venue, stop: threading.Event) -> list[str]:
    """Return what is to be known of the Jenkins besides, a sentence each. Raises NoJenkinsError with all that is missing.

    A job is made there and removed again, by which it shows what the account may do. `stop` breaks it off, with any error.
    """
    try:
        with cut_at(stop, controller):
            answer = reachable(controller)
            looked = [answer, *(_look(controller) if answer.verdict is not Verdict.FAIL else ())]
        if stop.is_set():
            raise NoJenkinsError("interrupted")
        lacks = [_worded(each) for each in looked if each.verdict is Verdict.FAIL]
        if not any(each.verdict is Verdict.FAIL and each.topic in _FIRST for each in looked):
            # Not cut off in the middle: the job that is made has to go.
            lacks += [_worded(each) for each in right_findings(controller, _SURROUNDINGS, try_it=True) if each.verdict is Verdict.FAIL]
            with suppress(JenkinsMissingError):  # that the folder is missing is among them already
                lacks += _in_the_way(controller.jobs(), venue.settings.owner)
        if venue.gearman is not None:
            lacks += [words for words in (gearman_trouble(venue.gearman),) if words]
    except OperatorError as error:
        raise NoJenkinsError(str(error)) from error
    if lacks:
        points = "\n".join(f"- {words}" for words in lacks)
        raise NoJenkinsError(f"the demo cannot be played on the Jenkins at {venue.settings.url}:\n{points}")
    notes = [_worded(each) for each in looked if each.verdict is Verdict.UNKNOWN]
    if venue.gearman is not None and not _is_loopback(venue.gearman[0]):
        notes.append(f"whoever reaches {shown(venue.gearman)} can start builds in this Jenkins: Gearman has no passwords")
    return notes


def listens(address: Address) -> bool:
    """Return whether a Gearman server answers at `address`. Raises OperatorError where something else does."""
    try:
        with socket.create_connection(address, _ANSWER):
            pass
    except OSError:
        return False
    functions(address, _ANSWER)
    return True


def gearman_trouble(address: Address) -> str:
    """Return why the Gearman server at `address` cannot be used, or the demo's own not listen there; empty where nothing is in the way."""
    try:
        if listens(address):
            others = functions(address, _ANSWER).get(MERGE)
            if others is not None and others.workers:
                return f"another Torii works at the Gearman server {shown(address)}, and would be given the demo's work; name another port"
            return ""
    except GearmanUnavailableError as error:
        return f"what listens at {shown(address)} is no Gearman server ({error}); name another port"
    try:
        found = socket.getaddrinfo(address[0], address[1], type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with socket.socket(found[0][0], socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[0][4])
    except OSError as error:
        reason = error.strerror or error
        return (
            f"no Gearman server answers at {shown(address)}, and the demo's own cannot listen there: {reason}; "
            "start gearmand there, or name an address of this machine"
        )
    return ""


def _look(controller: Controller) -> Iterator[Finding]:
    """Yield what shows of it without changing anything."""
    yield from account_findings(controller)
    yield from server_findings(controller)
    yield from plugin_findings(controller, _SURROUNDINGS)
    yield from node_findings(controller)
    if not any(node.executors and not node.exclusive and not node.offline for node in controller.nodes()):
        words = "no node is online that takes jobs which name no label"
        yield Finding("nodes", Verdict.FAIL, words, "bring one online whose usage is to be used as much as possible")


def _worded(finding: Finding) -> str:
    return f"{finding.topic}: {finding.words}{f'; {finding.advice}' if finding.advice else ''}"


def _in_the_way(jobs: Mapping[str, Job], owner: str) -> Iterator[str]:
    """Yield whose jobs stand where the demo's would, and what is left of the trial."""
    if (tried := trial_job(owner)) in jobs:
        yield f"the job {tried}, by which all this was tried, is still there: delete it by hand"
    prefixes = tuple(job_name(project, "main", "x").removesuffix("x") for project in REPOSITORIES)
    foreign: dict[str | None, list[str]] = {}
    for name, job in jobs.items():
        whose = owner_in(job)
        if name.startswith(prefixes) and whose != owner:
            foreign.setdefault(whose, []).append(name)
    for whose, names in foreign.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        if whose is None:
            yield f"it has the job {names[0]}{more}, which Torii did not make: name another folder with --jenkins-folder"
        elif whose.startswith(OWNERS):
            yield (
                f"it has the jobs of another demo ({names[0]}{more}, of {whose}): wait until that has ended, or name another folder with "
                "--jenkins-folder. If it was killed, run it again where it ran, which removes them, or delete them by hand"
            )
        else:
            yield f"it has jobs of another Torii ({names[0]}{more}, of {whose}): name another folder with --jenkins-folder"


def trial_job(owner: str) -> str:
    """Return what the job is called that `torii jenkins check` makes as `owner`."""
    return f"torii-check-{owner}"


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
