"""The Gearman plug-in, of a check-up: is this Jenkins at Torii's Gearman server, does it offer its jobs, will it after its next boot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torii.errors import OperatorError
from torii.jenkins.check_nodes import fits
from torii.jenkins.check_server import here
from torii.jenkins.controller import Controller
from torii.jenkins.errors import JenkinsError, JenkinsMissingError, JenkinsUnavailableError
from torii.jenkins.surroundings import Surroundings
from torii.jenkins.values import Job, Node
from torii.model.finding import Finding, Verdict

_BUILD = "build:"
_STOP = "stop:"
_DEFINE = "torii:define:"
"""What a worker of Torii's own offers besides, and Jenkins does not."""


def gearman_findings(controller: Controller, surroundings: Surroundings) -> Iterator[Finding]:
    """Whether this Jenkins' workers are at the Gearman server."""
    try:
        workers = surroundings.workers()
    except OperatorError as error:
        advice = "start Torii (`torii up`, which has a Gearman server in it), or name yours under `gearman` in server.yml"
        yield Finding("gearman", Verdict.FAIL, str(error), advice)
        return
    names = {name for functions in workers.values() for name in functions}
    stopped, defined = ({name.removeprefix(start) for name in names if name.startswith(start)} for start in (_STOP, _DEFINE))
    managers = sorted(stopped - defined)
    nodes = [node for node in controller.nodes() if node.executors and not node.offline and node.name != "built-in"]
    ours = {node.name: of for node in nodes if (of := _of(node, workers)) is not None}
    if not managers and not ours:
        yield Finding("gearman", Verdict.FAIL, f"no Jenkins has connected to {surroundings.gearman}", _how(controller, surroundings))
        return
    if nodes and not ours:
        words = f"{_listed(managers)} has connected to {surroundings.gearman}, but none of the nodes of this Jenkins has"
        yield Finding("gearman", Verdict.FAIL, words, _how(controller, surroundings))
        return
    away = [node.name for node in nodes if node.name not in ours]
    if away:
        advice = "press Test Connection and Save under Gearman Plugin Config (Manage Jenkins, System), or reconnect the node"
        yield Finding("gearman", Verdict.WARN, f"these nodes are online and have not connected: {', '.join(away)}", advice)
    else:
        yield Finding("gearman", Verdict.PASS, f"connected to {surroundings.gearman}, as {_listed(managers)}")
    yield from _functions(controller, surroundings, ours)


def anonymous_findings(controller: Controller, nobody: Controller, surroundings: Surroundings) -> Iterator[Finding]:
    """Whether those who are not logged in may see jobs: the plug-in's agents look at them so, when Jenkins boots."""
    topic = "anonymous Job/Read"
    try:
        there = controller.jobs()
    except JenkinsMissingError:
        return  # the folder is not there, or Torii does not see it, which is said elsewhere: it tells nothing about anybody else
    advice = (
        "give Anonymous the permissions Overall/Read and Job/Read (on Torii's folder at least), or set `dispatch: rest`. For the moment it "
        "helps to save any job as an administrator"
    )
    trap = "those who are not logged in may not see jobs: after its next boot, agents of this Jenkins offer no functions, and builds wait"
    try:
        seen = nobody.jobs()
    except JenkinsError as error:
        # Where people log in elsewhere, nobody in particular is sent there.
        if isinstance(error, JenkinsUnavailableError) and not 300 <= (error.status or 0) < 400:
            raise
        yield Finding(topic, Verdict.FAIL, trap, advice)
        return
    hidden = {name for name, job in there.items() if surroundings.ours(job)} - seen.keys()
    if hidden or (there and not seen):
        yield Finding(topic, Verdict.FAIL, trap, advice)
    elif not there:
        yield Finding(
            topic, Verdict.UNKNOWN, "there is no job yet by which it would show", "make Torii's jobs (torii sync-jobs), then check again"
        )
    else:
        yield Finding(topic, Verdict.PASS, "agents offer their jobs after a boot, too")


def _functions(controller: Controller, surroundings: Surroundings, ours: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    there = [job for job in _jobs(controller).values() if job.buildable and not job.kind.endswith(".Folder")]
    if not there or not ours:
        return
    jobs = {job.name for job in there if surroundings.ours(job)}  # others may want nodes of kinds of their own, or none
    offered = {name.split(":")[1] for functions in ours.values() for name in functions if name.startswith(_BUILD)}
    lacking = sorted(jobs - offered)
    if not offered and _some_node_fits(controller, surroundings, ours):
        words = f"the agents are connected, and offer none of the {len(there)} jobs there are"
        advice = "save any job as an administrator, which has them look again; it comes of anonymous Job/Read missing when Jenkins booted"
        yield Finding("functions", Verdict.FAIL, words, advice)
    elif lacking:
        words = f"no agent offers {_listed(lacking)}"
        advice = "an agent that is busy offers new jobs when its build ends; else see whether a node has the labels of these jobs"
        yield Finding("functions", Verdict.WARN, words, advice)
    else:
        yield Finding("functions", Verdict.PASS, f"agents offer all jobs of Torii's, {len(jobs)}")


def _some_node_fits(controller: Controller, surroundings: Surroundings, ours: Mapping[str, frozenset[str]]) -> bool:
    """Whether a connected node has what some job wants, as far as that is known."""
    labels = surroundings.wanted().labels
    nodes = [node for node in controller.nodes() if node.name in ours]
    return not labels or any(fits(node, label) for node in nodes for label in labels)


def _jobs(controller: Controller) -> Mapping[str, Job]:
    """Return the jobs of the folder; that it is missing is said elsewhere."""
    try:
        return controller.jobs()
    except JenkinsMissingError:
        return {}


def _of(node: Node, workers: Mapping[str, frozenset[str]]) -> frozenset[str] | None:
    """Return the functions of a node's executors; None where none has connected."""
    found = [functions for client, functions in workers.items() if client.rpartition("_exec-")[0] == node.name]
    return frozenset().union(*found) if found else None


def _how(controller: Controller, surroundings: Surroundings) -> str:
    where = f"enable it under Gearman Plugin Config (Manage Jenkins, System), with host and port of {surroundings.gearman}"
    if surroundings.loopback and not here(controller.settings.url):
        return (
            "Torii's Gearman server listens on this machine only: set `gearman: {host: ADDRESS}` in server.yml to one that Jenkins "
            f"reaches (whoever reaches it can start builds), then {where.replace(surroundings.gearman, 'that')}"
        )
    return f"{where}; press Test Connection, then Save"


def _listed(names: list[str]) -> str:
    shown = ", ".join(dict.fromkeys(names[:5]))
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "somebody"
