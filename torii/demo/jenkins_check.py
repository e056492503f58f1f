"""Looks, before anything is made, whether the demo can be played on a Jenkins: all that is missing is told at once, with what to do."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping

from torii.demo.jenkins_sweep import cut_at, owner_in
from torii.demo.jenkins_venue import OWNERS, Venue, shown
from torii.demo.projects import REPOSITORIES
from torii.errors import OperatorError
from torii.gearman.admin import Address, GearmanUnavailableError, functions
from torii.gearman.functions import MERGE
from torii.jenkins import Controller, JenkinsRefusedError, Job, Node
from torii.jobs.names import job_name
from torii.jobs.plugins import GIT, JUNIT, installed

_GEARMAN = "gearman-plugin"
_NEEDED = {"Job/Create": "make jobs", "Job/Read": "see jobs", "Job/Configure": "change jobs", "Job/Build": "start builds"}
_ANSWER = 3.0


class NoJenkinsError(OperatorError):
    """The Jenkins is not fit for the demo, or cannot be used by it."""

    exit_code = 1  # as whenever the demo does not come out right


def require_jenkins(controller: Controller, venue: Venue, stop: threading.Event) -> list[str]:
    """Return what is to be known of the Jenkins besides, a sentence each. Raises NoJenkinsError with all that is missing.

    Nothing is changed there. `stop` breaks it off, with any error.
    """
    try:
        with cut_at(stop, controller):
            lacks = [*_lacks(controller, venue)]
            notes = _notes(controller, venue)
        if venue.gearman is not None:
            lacks += [words for words in (gearman_trouble(venue.gearman),) if words]
    except OperatorError as error:
        raise NoJenkinsError(str(error)) from error
    if lacks:
        points = "\n".join(f"- {words}" for words in lacks)
        raise NoJenkinsError(f"the demo cannot be played on the Jenkins at {venue.settings.url}:\n{points}")
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


def _lacks(controller: Controller, venue: Venue) -> Iterator[str]:
    jobs = controller.jobs()
    yield from _clashes(jobs, venue.settings.owner)
    with contextlib.suppress(JenkinsRefusedError):  # who may not see the plug-ins is told that they could not be seen
        there = installed(controller.plugins())
        for part in (GIT, JUNIT):
            if part.plugin not in there:
                yield f"its plug-in {part.plugin} is not installed ({part.what}): install it"
        if venue.gearman is not None and _GEARMAN not in there:
            yield f"its plug-in {_GEARMAN} is not installed: install it, or leave out --jenkins-gearman"
    for permission, allowed in controller.may(_NEEDED).items():
        if not allowed:
            yield f"{venue.settings.user} may not {_NEEDED[permission]} there: give that account the permission {permission}"
    if controller.quieting_down():
        yield "it is about to shut down and starts no builds: wait until it is up again, or cancel that"
    if not any(_takes_any_job(node) for node in controller.nodes()):
        yield "it has no node online that takes jobs without a label: bring one online"


def _notes(controller: Controller, venue: Venue) -> list[str]:
    notes = []
    try:
        controller.plugins()
    except JenkinsRefusedError:
        notes.append(f"{venue.settings.user} may not see which plug-ins there are: {GIT.plugin} and {JUNIT.plugin} are taken to be there")
    if venue.gearman is not None and not _is_loopback(venue.gearman[0]):
        notes.append(f"whoever reaches {shown(venue.gearman)} can start builds in this Jenkins: Gearman has no passwords")
    return notes


def _clashes(jobs: Mapping[str, Job], owner: str) -> Iterator[str]:
    """Yield whose jobs stand where the demo's would."""
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


def _takes_any_job(node: Node) -> bool:
    return not node.offline and not node.exclusive and node.executors > 0


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
