"""What the API says of each thing that a Jenkins has, field by field as the recordings have it."""

from __future__ import annotations

from typing import Any

from torii.testing.jenkins.core import Core
from torii.testing.jenkins.jobconfig import Parameter
from torii.testing.jenkins.rendering import Shown
from torii.testing.jenkins.state import Build, Cause, Item, Job, Node

_COLORS = {"SUCCESS": "blue", "UNSTABLE": "yellow", "FAILURE": "red", "ABORTED": "aborted", "NOT_BUILT": "notbuilt"}
_PLAIN = ("hudson.model.FreeStyleProject", "hudson.matrix.MatrixProject")


class Shapes:
    """Makes what is shown of `core`, whose pages are at `root` (a URL that ends in a slash). Call under its lock.

    `lag`: seconds for which an item that left the queue still names no build.
    """

    def __init__(self, core: Core, root: str) -> None:
        self._core = core
        self.root = root
        self.lag = 0.0

    # -- the controller

    def hudson(self) -> Shown:
        """The controller itself, `api/json` at the top."""
        core = self._core
        own = core.node("")
        return (
            Shown("hudson.model.Hudson")
            .add(
                1,
                assignedLabels=lambda: self._labels(own),
                mode="NORMAL",
                nodeDescription="the Jenkins controller's built-in node",
                numExecutors=own.spec.executors if own else 0,
                description=None,
                jobs=lambda: [self.job(job) for job in core.children("")],
                overallLoad=Shown(""),
                primaryView=self.view(),
                quietDownReason=core.quiet_reason,
                quietingDown=core.quieting,
                slaveAgentPort=-1,
                unlabeledLoad=Shown("jenkins.model.UnlabeledLoadStatistics"),
                url=self.root,
                useCrumbs=True,
                useSecurity=True,
                views=[self.view()],
            )
            .add(999, nodeName="")
        )

    def view(self) -> Shown:
        """The view of all jobs."""
        shown = Shown("hudson.model.AllView").add(1, description=None)
        shown.add(1, jobs=lambda: [self.job(job) for job in self._core.children("")])
        return shown.add(2, name="all").add(1, property=[]).add(2, url=self.root)

    def user(self, name: str) -> Shown:
        """An account."""
        properties = [Shown("jenkins.security.ApiTokenProperty"), Shown("hudson.tasks.Mailer$UserProperty").add(2, address=None)]
        properties += [Shown(kind) for kind in _USER_PROPERTIES]
        properties[6].add(2, insensitiveSearch=True)
        shown = Shown("hudson.model.User").add(3, absoluteUrl=f"{self.root}user/{name}").add(1, description=None).add(3, fullName=name)
        return shown.add(1, id=name, property=properties)

    def plugins(self, plugins: dict[str, str]) -> Shown:
        """The installed plug-ins."""

        def plugin(name: str, version: str) -> Shown:
            shown = Shown("").add(2, active=True, backupVersion=None, bundled=False, deleted=False, dependencies=[], detached=False)
            shown.add(2, downgradable=False, enabled=True, hasUpdate=False, longName=name, pinned=False, requiredCoreVersion="2.346.1")
            return shown.add(2, shortName=name, supportsDynamicLoad="MAYBE", url=f"https://plugins.jenkins.io/{name}", version=version)

        return Shown("hudson.LocalPluginManager").add(1, plugins=[plugin(name, version) for name, version in plugins.items()])

    # -- jobs

    def job(self, job: Job) -> Shown:
        """A job or a folder."""
        if job.config.is_folder:
            return self._folder(job)
        kind = job.config.kind
        shown = Shown(kind).add(1, actions=lambda: self._job_actions(job), description=job.config.description, displayName=job.short)
        shown.add(1, displayNameOrNull=None, fullDisplayName=job.name.replace("/", " » "), fullName=job.name)
        shown.add(999, name=job.short, url=f"{self.root}{job.path}")
        shown.add(1, buildable=job.buildable, builds=lambda: [self.build(build) for build in list(job.newest())[:100]])
        shown.add(-9, allBuilds=lambda: [self.build(build) for build in job.newest()])
        shown.add(2, color=lambda: color(job))
        self._permalinks(shown, job)
        if kind in _PLAIN:
            shown.add(1, concurrentBuild=job.config.concurrent, disabled=job.config.disabled, downstreamProjects=[])
            shown.add(
                1,
                labelExpression=job.config.label,
                scm=Shown(job.config.scm).add(1, browser=None, type=job.config.scm),
                upstreamProjects=[],
            )
        else:
            shown.add(1, concurrentBuild=job.config.concurrent, resumeBlocked=False)
        if job.config.axes:
            cells = [Shown("").add(2, name=cell, url=f"{self.root}{job.path}{cell}/", color="notbuilt") for cell in _cells(job)]
            shown.add(1, activeConfigurations=cells)
        return shown

    def _permalinks(self, shown: Shown, job: Job) -> None:
        def first(*results: str | None) -> Any:
            return lambda: next((self.build(build) for build in job.newest() if build.result in results), None)

        newest = list(job.newest())
        ended = ("SUCCESS", "UNSTABLE", "FAILURE", "ABORTED", "NOT_BUILT")
        shown.add(1, firstBuild=self.build(newest[-1]) if newest else None, healthReport=lambda: health(job))
        queued = next((item for item in self._core.queue.values() if item.job is job), None)
        shown.add(1, inQueue=queued is not None, keepDependencies=False, lastBuild=self.build(newest[0]) if newest else None)
        shown.add(1, lastCompletedBuild=first(*ended), lastFailedBuild=first("FAILURE"), lastStableBuild=first("SUCCESS"))
        shown.add(1, lastSuccessfulBuild=first("SUCCESS", "UNSTABLE"), lastUnstableBuild=first("UNSTABLE"))
        shown.add(1, lastUnsuccessfulBuild=first("UNSTABLE", "FAILURE", "ABORTED", "NOT_BUILT"), nextBuildNumber=job.next_number)
        shown.add(1, inline=True, property=lambda: _properties(job))
        shown.add(1, queueItem=self.item(queued) if queued else None)

    def _folder(self, job: Job) -> Shown:
        shown = Shown(job.config.kind).add(1, actions=[Shown("")], description=job.config.description, displayName=job.short)
        shown.add(1, displayNameOrNull=None, fullDisplayName=job.name.replace("/", " » "), fullName=job.name)
        shown.add(999, name=job.short, url=f"{self.root}{job.path}").add(1, healthReport=[])
        shown.add(1, jobs=lambda: [self.job(each) for each in self._core.children(job.name)])
        view = Shown("hudson.model.AllView").add(2, name="All", url=f"{self.root}{job.path}")
        return shown.add(1, primaryView=view, views=[view])

    def _job_actions(self, job: Job) -> list[Shown]:
        display = Shown("org.jenkinsci.plugins.displayurlapi.actions.JobDisplayAction").add(1, displayUrl=f"{self.root}{job.path}")
        pipeline = [Shown("")] if job.config.kind.endswith("WorkflowJob") else []
        return [*([_declared(job)] if job.config.parameters else []), Shown(""), display, *pipeline]

    # -- builds

    def build(self, build: Build) -> Shown:
        """A build."""
        job, kind = build.job, _build_kind(build.job)
        shown = Shown(kind).add(1, actions=lambda: self._build_actions(build))
        shown.add(1, artifacts=lambda: [_artifact(path) for path in build.artifacts], building=build.building)
        shown.add(1, description=build.description, displayName=build.display, duration=round(build.duration * 1000))
        estimate = build.estimate if build.building else (build.estimate if build.estimate > 0 else build.duration)
        shown.add(1, estimatedDuration=round(estimate * 1000) if estimate >= 0 else -1)
        shown.add(1, executor=Shown("") if build.building else None, fullDisplayName=f"{job.name.replace('/', ' » ')} {build.display}")
        shown.add(1, id=str(build.number), inProgress=build.building, keepLog=build.keep)
        shown.add(2, number=build.number)
        shown.add(1, queueId=build.item, result=build.result, timestamp=round(build.started * 1000))
        shown.add(2, url=f"{self.root}{build.path}")
        if kind.endswith("WorkflowRun"):
            return shown.add(1, changeSets=[], culprits=[], nextBuild=None, previousBuild=None)
        shown.add(1, builtOn=build.node.name)
        shown.add(1, changeSet=Shown("hudson.scm.EmptyChangeLogSet").add(3, items=[], kind=None), culprits=[])
        if kind.endswith("MatrixBuild"):
            cells = [f"{self.root}{job.path}{cell}/{build.number}/" for cell in _cells(job)]
            shown.add(1, runs=[Shown("").add(2, number=build.number, url=url) for url in cells])
        return shown

    def _build_actions(self, build: Build) -> list[Shown]:
        found = _request_actions(build.plugin, _listed(build.job, build.parameters), build.causes)
        if build.interrupted:
            found.append(Shown("jenkins.model.InterruptedBuildAction"))
        if build.tests is not None:
            counts = [int(str(build.tests.get(name, 0))) for name in ("failCount", "skipCount", "passCount")]
            total = sum(counts)
            found.append(
                Shown("hudson.tasks.junit.TestResultAction").add(
                    2, failCount=counts[0], skipCount=counts[1], totalCount=total, urlName="testReport"
                )
            )
        here = f"{self.root}{build.path}"
        display = Shown("org.jenkinsci.plugins.displayurlapi.actions.RunDisplayAction").add(1, artifactsUrl=f"{here}artifact")
        display.add(1, changesUrl=f"{self.root}{build.job.path}changes", displayUrl=here, testsUrl=f"{here}testReport")
        pipeline = [Shown(""), Shown("org.jenkinsci.plugins.workflow.job.views.FlowGraphAction"), *(Shown("") for _ in range(3))]
        return [*found, Shown(""), display, *(pipeline if build.job.config.kind.endswith("WorkflowJob") else [])]

    # -- the queue

    def item(self, item: Item) -> Shown:
        """An item of the queue, or one that has left it."""
        waits = item.left_at is None
        kind, why = self._core.why(item) if waits else ("LeftItem", "")
        shown = Shown(f"hudson.model.Queue${kind}")
        parameters = _listed(item.job, item.parameters)
        shown.add(1, actions=_request_actions(item.plugin, parameters, item.causes))
        shown.add(1, blocked=kind == "BlockedItem", buildable=kind == "BuildableItem", id=item.id, inQueueSince=_ms(item.since))
        shown.add(1, params="".join(f"\n{name}={value}" for name, value in parameters.items()))
        shown.add(1, stuck=kind == "BuildableItem" and self._stuck(item))
        task = Shown(item.job.config.kind).add(2, name=item.job.short, url=f"{self.root}{item.job.path}", color=color(item.job))
        shown.add(1, task=task, url=f"queue/item/{item.id}/", why=why if waits else None)
        match kind:
            case "WaitingItem":
                shown.add(1, timestamp=_ms(item.due))
            case "BlockedItem":
                shown.add(1, buildableStartMilliseconds=_ms(item.buildable_since or item.due))
            case "BuildableItem":
                shown.add(1, buildableStartMilliseconds=_ms(item.buildable_since or item.due), pending=False)
            case _:
                shown.add(1, cancelled=item.cancelled, executable=self._executable(item))
        return shown

    def _stuck(self, item: Item) -> bool:
        why = self._core.why(item)[1]
        return why.endswith(("is offline", "are offline")) or why.startswith("There are no nodes")

    def _executable(self, item: Item) -> Shown | None:
        if item.build is None or self._core.clock() - (item.left_at or 0.0) < self.lag:
            return None
        return Shown(_build_kind(item.job)).add(2, number=item.build.number, url=f"{self.root}{item.build.path}")

    def queue(self) -> Shown:
        """The queue, what came last first."""
        shown = Shown("hudson.model.Queue").add(1, discoverableItems=[])
        return shown.add(1, inline=True, items=lambda: [self.item(item) for item in self._queued()])

    def _queued(self) -> list[Item]:
        """Return the items as Jenkins lists them: in their quiet period, blocked, then those that wait for a node, newest first."""
        found: dict[str, list[Item]] = {"WaitingItem": [], "BlockedItem": [], "BuildableItem": []}
        for item in self._core.queue.values():
            found[self._core.why(item)[0]].append(item)
        return [*sorted(found["WaitingItem"], key=lambda item: item.due), *found["BlockedItem"], *reversed(found["BuildableItem"])]

    # -- nodes

    def computers(self) -> Shown:
        """All nodes."""
        nodes = self._core.nodes
        busy = sum(len(node.running) for node in nodes)
        shown = Shown("hudson.model.ComputerSet").add(1, busyExecutors=busy)
        shown.add(1, inline=True, computer=[self.computer(node) for node in nodes])
        return shown.add(1, displayName="Nodes", totalExecutors=sum(node.spec.executors for node in nodes if node.up))

    def computer(self, node: Node) -> Shown:
        """A node, with what its executors do."""
        agent = bool(node.name)
        icon = "symbol-computer" if node.up else "symbol-computer-disconnected" if node.temporarily else "symbol-computer-offline"
        shown = Shown("hudson.slaves.SlaveComputer" if agent else "hudson.model.Hudson$MasterComputer").add(1, actions=[])
        shown.add(1, assignedLabels=lambda: self._labels(node))
        default = "" if agent else "the Jenkins controller's built-in node"
        shown.add(1, description=node.spec.description or default, displayName=node.display)
        shown.add(1, executors=lambda: [self._executor(node, number) for number in range(node.spec.executors)])
        shown.add(1, icon=icon, iconClassName=icon, idle=not node.running, jnlpAgent=False)
        shown.add(1, launchSupported=True, loadStatistics=_load(), manualLaunchAllowed=True, monitorData={})
        cause = _offline_cause(node)
        shown.add(1, numExecutors=node.spec.executors, offline=not node.up, offlineCause=cause, offlineCauseReason=node.reason)
        shown.add(1, oneOffExecutors=[], temporarilyOffline=node.temporarily)
        return shown.add(1, absoluteRemotePath=None if node.offline else f"/srv/agents/{node.name}") if agent else shown

    def _labels(self, node: Node | None) -> list[Shown]:
        return [self._label(label) for label in sorted(node.labels)] if node else []

    def _label(self, label: str) -> Shown:
        nodes = [node for node in self._core.nodes if label in node.labels]
        up = [node for node in nodes if node.up]
        total, busy = sum(node.spec.executors for node in up), sum(len(node.running) for node in up)
        shown = Shown("").add(1, actions=[], busyExecutors=busy, clouds=[], description=None, idleExecutors=total - busy)
        shown.add(1, loadStatistics=_load()).add(2, name=label).add(1, nodes=lambda: [self._node(node) for node in nodes], offline=not up)
        tied = [job for job in self._core.jobs.values() if job.config.label == label]
        return shown.add(1, tiedJobs=lambda: [self.job(job) for job in tied], totalExecutors=total, propertiesList=[])

    def _node(self, node: Node) -> Shown:
        if not node.name:
            return self.hudson()
        shown = Shown("hudson.slaves.DumbSlave").add(1, assignedLabels=lambda: self._labels(node))
        shown.add(1, mode="EXCLUSIVE" if node.spec.exclusive else "NORMAL", nodeDescription=node.spec.description)
        return shown.add(999, nodeName=node.name).add(1, numExecutors=node.spec.executors)

    def _executor(self, node: Node, number: int) -> Shown:
        build = node.running.get(number)
        shown = Shown("")
        shown.add(1, currentExecutable=self.build(build) if build else None)
        took = self._core.clock() - build.started if build else 0.0
        likely = build is not None and build.estimate > 0
        stuck = likely and build is not None and took > 10 * build.estimate
        progress = min(99, round(took * 100 / build.estimate)) if build and likely else -1
        return shown.add(1, idle=build is None, likelyStuck=stuck, number=number, progress=progress)


_USER_PROPERTIES = (
    "hudson.model.MyViewsProperty",
    "org.jenkinsci.plugins.displayurlapi.user.PreferredProviderUserProperty",
    "hudson.model.PaneStatusProperties",
    "jenkins.security.seed.UserSeedProperty",
    "hudson.search.UserSearchProperty",
    "hudson.model.TimeZoneProperty",
    "hudson.security.HudsonPrivateSecurityRealm$Details",
)
_LOAD = (
    *(f"{kind}Executors" for kind in ("available", "busy", "connecting", "defined", "idle", "online")),
    "queueLength",
    "totalExecutors",
)
_DEFINITION = "hudson.model.ParametersDefinitionProperty"


def _load() -> Shown:
    shown = Shown("hudson.model.Label$1")
    for name in _LOAD:
        shown.add(1, **{name: Shown("")})  # type: ignore[arg-type]  # none of them is called inline
    return shown


def _offline_cause(node: Node) -> Shown | None:
    if node.up:
        return None
    kind = "UserCause" if node.temporarily else "ChannelTermination"
    text = f"Disconnected by admin : {node.reason}" if node.temporarily else node.reason
    return Shown(f"hudson.slaves.OfflineCause${kind}").add(1, timestamp=0, description=text)


def color(job: Job) -> str:
    """Return the ball that Jenkins shows for `job`."""
    if job.config.disabled:
        return "disabled"
    ended = next((build.result for build in job.newest() if build.result), None)
    ball = _COLORS.get(ended or "", "notbuilt")
    return f"{ball}_anime" if job.running else ball


def health(job: Job) -> list[Shown]:
    """Return the weather report of the last five builds."""
    ended = [build for build in job.newest() if build.result][:5]
    if not ended:
        return []
    failed = sum(build.result in ("FAILURE", "ABORTED") for build in ended)
    score = 100 * (len(ended) - failed) // len(ended)
    text = f"{failed} out of the last {len(ended)} builds failed." if failed else "No recent builds failed."
    icon = f"{(score // 20) * 20:02d}to{(score // 20) * 20 + 19:02d}" if score < 80 else "80plus"
    shown = Shown("").add(2, description=f"Build stability: {text}", iconClassName=f"icon-health-{icon}", iconUrl=f"health-{icon}.png")
    return [shown.add(2, score=score)]


def _properties(job: Job) -> list[Shown]:
    found = [Shown("jenkins.model.BuildDiscarderProperty")] if job.config.discards else []
    if job.config.parameters:
        found.append(_declared(job))
    return found


def _declared(job: Job) -> Shown:
    return Shown(_DEFINITION).add(2, parameterDefinitions=[_definition(parameter) for parameter in job.config.parameters])


def _definition(parameter: Parameter) -> Shown:
    value: Any = parameter.default == "true" if parameter.kind.startswith("Boolean") else parameter.default
    default = Shown(parameter.value_kind).add(3, name=parameter.name).add(4, value=value)
    shown = Shown(f"hudson.model.{parameter.kind}").add(3, defaultParameterValue=default)
    shown.add(3, description=parameter.description, name=parameter.name, type=parameter.kind)
    return shown.add(3, choices=list(parameter.choices)) if parameter.choices else shown


def _build_kind(job: Job) -> str:
    kind = job.config.kind
    return kind.replace("WorkflowJob", "WorkflowRun").replace("FreeStyleProject", "FreeStyleBuild").replace("MatrixProject", "MatrixBuild")


def _cells(job: Job) -> list[str]:
    return [f"{name}={value}" for name, values in job.config.axes[:1] for value in values]


def _listed(job: Job, parameters: Any) -> dict[str, str]:
    declared = {parameter.name for parameter in job.config.parameters}
    return {name: value for name, value in parameters.items() if name in declared}


def _request_actions(plugin: bool, parameters: dict[str, str], causes: Any) -> list[Shown]:
    """Return who asked for what. The Gearman plug-in has its own class for parameters, which are texts there whatever the job says."""
    kind = "Text" if plugin else "String"
    values = [Shown(f"hudson.model.{kind}ParameterValue").add(3, name=name, value=value) for name, value in parameters.items()]
    action = Shown("hudson.plugins.gearman.NodeParametersAction" if plugin else "hudson.model.ParametersAction").add(2, parameters=values)
    found = [Shown(""), action] if plugin else [action] if values else []
    return [*found, Shown("hudson.model.CauseAction").add(2, causes=[_cause(cause) for cause in causes])]


def _cause(cause: Cause) -> Shown:
    if cause.remote:
        text = "Started by remote host 127.0.0.1"
        return Shown("hudson.model.Cause$RemoteCause").add(3, shortDescription=text, addr="127.0.0.1", note=None)
    shown = Shown("hudson.model.Cause$UserIdCause").add(3, shortDescription=f"Started by user {cause.user or 'anonymous'}")
    return shown.add(3, userId=cause.user or None, userName=cause.user or "anonymous")


def _artifact(path: str) -> Shown:
    name = path.rpartition("/")[2]
    return Shown("").add(3, displayPath=name, fileName=name, relativePath=path)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
