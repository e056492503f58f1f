"""One Jenkins over its REST API, through python-jenkins: each call has its time limits, and every failure is an error with words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from urllib.parse import quote

import jenkins

from torii.config.settings import JenkinsSettings
from torii.jenkins import api, reading, replies
from torii.jenkins.console import Console
from torii.jenkins.errors import (
    JenkinsMissingError,
    JenkinsReplyTooLargeError,
    JenkinsUnavailableError,
)
from torii.jenkins.permissions import seen
from torii.jenkins.values import About, Build, Job, LogPiece, Node, Plugin, Queued
from torii.model.build import TestSummary
from torii.model.ids import BuildId

_RECENT = 100
_OLDER = 1000
"""So many builds of a job, the newest first, are looked through for one."""

_BETWEEN = 0.3
"""Seconds after which a build that has left the queue is to be seen: it was 0.05 s where nothing else went on."""

_NAMES_LIMIT = 16 * 1024 * 1024
_PIECE = 256 * 1024


class Controller:
    """The Jenkins that `settings` describe, for any number of threads. Connections are kept open and used again.

    Every method raises JenkinsUnavailableError, JenkinsRefusedError or another JenkinsError, and OperatorError where the token cannot be
    read. Jobs are named by their short names: all of them are in `settings.folder`. What only reads is asked again where that may help,
    after pauses that `patience` multiplies; what alters something is sent once.
    """

    def __init__(self, settings: JenkinsSettings, patience: float = 1.0) -> None:
        self.settings = settings
        self._api = api.Api(settings, patience)
        self._console = Console(self._api)

    @property
    def name(self) -> str:
        """What `server.yml` calls it."""
        return self.settings.name

    # -- jobs

    def jobs(self) -> dict[str, Job]:
        """Return every job of the folder, by name, in one request. Raises JenkinsMissingError where the folder is missing."""
        try:
            found = self._api.json(api.FOLDER, tree=f"jobs[{reading.JOB_TREE}]")
        except JenkinsMissingError as error:
            raise self._no_folder(str(error)) from None
        if not isinstance(found.get("jobs"), list):
            raise self._no_folder(f"{found.get('_class', 'what is there')} is no folder")
        return {job.name: job for job in map(reading.job, reading.many(found, "jobs")) if job.name}

    def config(self, job: str) -> bytes | None:
        """Return the config.xml of `job`, None where there is no such job."""
        try:
            return self._api.wire.get(self._api.url(jenkins.CONFIG_JOB, job)).content
        except JenkinsMissingError:
            return None

    def create(self, job: str, xml: bytes) -> None:
        """Make `job`. Raises JenkinsExistsError, JenkinsInvalidError, and JenkinsMissingError where the folder is missing."""
        try:
            self._api.post_xml(jenkins.CREATE_JOB, job, xml)
        except JenkinsMissingError as error:
            raise self._no_folder(str(error)) from None

    def update(self, job: str, xml: bytes) -> None:
        """Give `job` this config.xml. Raises JenkinsMissingError, JenkinsInvalidError."""
        self._api.post_xml(jenkins.CONFIG_JOB, job, xml)

    def enable(self, job: str) -> None:
        """Let `job` be built again, where somebody disabled it. Raises JenkinsMissingError."""
        self._api.post(jenkins.ENABLE_JOB, job)

    def delete(self, job: str) -> bool:
        """Delete `job`; return whether there was one."""
        try:
            self._api.post(jenkins.DELETE_JOB, job)
        except JenkinsMissingError:
            return False
        return True

    # -- builds

    def build(self, job: str, number: int) -> Build | None:
        """Return a build, None where there is none (any more)."""
        try:
            found = self._api.json(api.BUILD, job, reading.BUILD_TREE, number=number)
        except JenkinsMissingError:
            return None
        return reading.build(found, job, self._build_url(job, number))

    def find(self, job: str, uuid: BuildId) -> Build | Queued | None:
        """Return the newest build of `job` (or else its item in the queue) whose TORII_UUID is `uuid`, None where there is neither.

        Of a job's builds the newest 1,000 are looked through. Takes a moment longer where there is none: one that has just left the queue
        is not to be seen at once. A build comes without its causes and artifacts.
        """
        for attempt in range(2):
            if attempt:
                self._api.wire.wait(_BETWEEN)
            waiting = next((item for item in self.queue() if item.job == job and item.uuid == uuid), None)
            found = self._find_build(job, uuid, "builds", 0, _RECENT)
            if found or waiting:
                return found or waiting
        return self._find_build(job, uuid, "allBuilds", _RECENT, _OLDER)

    def recent(self, job: str) -> dict[str, Build]:
        """Return the newest 1,000 builds of `job` that have a TORII_UUID, by that, in one request; none where there is no such job.

        They come without their causes and artifacts.
        """
        try:
            found = self._api.json(api.JOB, job, f"allBuilds[{reading.BUILDS_TREE}]{{0,{_OLDER}}}")
        except JenkinsMissingError:
            return {}
        builds = [
            reading.build(each, job, self._build_url(job, reading.whole(each, "number") or 0)) for each in reading.many(found, "allBuilds")
        ]
        return {build.uuid: build for build in reversed(builds) if build is not None and build.uuid}

    def last_builds(self) -> dict[str, Build]:
        """Return the last build of each job of the folder that has one, whoever started it, by the job's name, in one request."""
        try:
            found = self._api.json(api.FOLDER, tree=f"jobs[name,lastBuild[{reading.LAST_TREE}]]")
        except JenkinsMissingError as error:
            raise self._no_folder(str(error)) from None
        builds = {}
        for each in reading.many(found, "jobs"):
            name, last = reading.text(each, "name"), each.get("lastBuild")
            build = reading.build(last, name, self._build_url(name, 0)) if isinstance(last, dict) else None
            if build is not None:
                builds[name] = build
        return builds

    def running(self) -> dict[str, Build]:
        """Return every build that runs now on any executor and has a TORII_UUID, by that, in one request."""
        executors = f"[currentExecutable[{reading.RUNNING_TREE}]]"
        found = self._api.json(api.COMPUTERS, tree=f"computer[displayName,executors{executors},oneOffExecutors{executors}]")
        builds = {}
        for computer in reading.many(found, "computer"):
            where = reading.node(computer).name
            for executor in (*reading.many(computer, "executors"), *reading.many(computer, "oneOffExecutors")):
                executable = executor.get("currentExecutable")
                build = self._running(executable, where) if isinstance(executable, dict) else None
                if build is not None:
                    builds[build.uuid] = build
        return builds

    def start(self, job: str, parameters: Mapping[str, str]) -> int:
        """Ask for a build with `parameters` and return the id of its item in the queue. Sent once.

        Raises JenkinsMissingError, JenkinsInvalidError (the job is disabled, say).
        """
        # As a form: an address of many changes is longer than servers take. Without the delay Jenkins would wait for its quiet period.
        if parameters:
            response = self._api.post(jenkins.BUILD_WITH_PARAMS_JOB + "?delay=0sec", job, parameters)
        else:
            response = self._api.post(jenkins.BUILD_JOB + "?delay=0sec", job)
        item = response.headers.get("Location", "").rstrip("/").rpartition("/queue/item/")[2]
        if not item.isdecimal():
            raise replies.not_jenkins(self.settings, "POST", response, "item of the queue")
        return int(item)

    def queue(self) -> tuple[Queued, ...]:
        """Return all that waits in the queue for jobs of the folder, in one request."""
        found = self._api.json(api.QUEUE, tree=f"items[{reading.ITEM_TREE}]")
        items = (self._queued(item) for item in reading.many(found, "items"))
        return tuple(item for item in items if item is not None)

    def queued(self, item: int) -> Queued | None:
        """Return an item of the queue, also for some minutes after it left; None where nobody knows it (any more)."""
        try:
            return self._queued(self._api.json(api.ITEM, tree=reading.ITEM_TREE, number=item))
        except JenkinsMissingError:
            return None

    def cancel(self, item: int) -> None:
        """Take an item out of the queue; nothing happens where it has left."""
        try:
            self._api.cancel_queue(item)
        except JenkinsMissingError:
            return
        except JenkinsUnavailableError as error:
            # That is how Jenkins says that it was taken out before.
            if error.status != 500:
                raise

    def stop(self, job: str, number: int) -> None:
        """Ask for the end of a build; nothing happens where it is over."""
        try:
            self._api.post(jenkins.STOP_BUILD, job, number=number)
        except JenkinsMissingError:
            return

    def describe(self, job: str, number: int, html: str) -> None:
        """Set a build's description. Raises JenkinsMissingError where the build is gone."""
        self._api.post(api.DESCRIPTION, job, {"description": html}, number=number)

    def log(self, job: str, number: int, start: int = 0, largest: int = 4 * 1024 * 1024) -> LogPiece:
        """Return the console log from `start` on (what an earlier piece said as `next`, or 0), `largest` bytes of it at most.

        `next` is no count of bytes: it means something to this method only. Raises JenkinsMissingError where the build is gone.
        """
        return self._console.read(job, number, start, largest)

    def tests(self, job: str, number: int) -> TestSummary | None:
        """Return the counts of a build's test report with the first failing names, None where it has none or the plug-in is missing."""
        try:
            counts = reading.report_counts(self._api.json(api.TESTS, job, "failCount,skipCount,passCount,totalCount", number=number))
            if not counts.failed:
                return counts
            suites = "suites[cases[className,name,status]]"
            tree = f"{suites},childReports[result[{suites}]]"
            report = self._api.json(api.TESTS, job, tree, _NAMES_LIMIT, number=number)
        except JenkinsMissingError:
            return None
        except JenkinsReplyTooLargeError:
            return counts
        return dataclasses.replace(counts, failing=reading.failing_tests(report))

    def artifact(self, job: str, number: int, path: str) -> Iterator[bytes]:
        """Yield an artifact's bytes, in pieces, decoded. Raises JenkinsMissingError; JenkinsElsewhereError where another host has it."""
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise JenkinsMissingError(f"{path!r} can be no artifact of {job} #{number}")
        stream = self._api.stream(api.ARTIFACT, job, number=number, artifact=path)
        try:
            while piece := stream.read(_PIECE):
                yield piece
        finally:
            stream.close()

    # -- the controller itself

    def version(self) -> str:
        """Return Jenkins' version, such as `2.426.3`; empty where something in front of it hides that."""
        _, headers = self._api.json_and_headers(jenkins.INFO, tree="mode")
        return headers.get("X-Jenkins", "")

    def user(self) -> str:
        """Return who Torii is there."""
        return reading.text(self._api.json(api.WHOAMI, tree="id"), "id")

    def plugins(self) -> dict[str, Plugin]:
        """Return the installed plug-ins by their short names. Raises JenkinsRefusedError where only an administrator may see them."""
        found = self._api.json(api.PLUGINS, tree=f"plugins[{reading.PLUGIN_TREE}]")
        return {plugin.name: plugin for plugin in map(reading.plugin, reading.many(found, "plugins")) if plugin.name}

    def nodes(self) -> tuple[Node, ...]:
        """Return all nodes, the built-in one among them, in one request."""
        found = self._api.json(api.COMPUTERS, tree=f"computer[{reading.NODE_TREE}]")
        return tuple(map(reading.node, reading.many(found, "computer")))

    def quieting_down(self) -> bool:
        """Whether it is about to shut down and starts no builds."""
        return self.about().quieting_down

    def about(self) -> About:
        """Return what Jenkins says of itself."""
        return reading.about(self._api.json(jenkins.INFO, tree=reading.ABOUT_TREE))

    def has_cloud(self, label: str) -> bool:
        """Whether a cloud of this Jenkins makes nodes with `label`, one word, when they are wanted."""
        try:
            return any(reading.many(self._api.json(api.LABEL, tree="clouds[name]", label=quote(label, safe="")), "clouds"))
        except JenkinsMissingError:
            return False

    @property
    def needs_crumbs(self) -> bool:
        """Whether what Torii has sent needed a crumb: then it logs in with a password, not with an API token."""
        return self._api.wire.crumbs

    def may(self, permissions: Collection[str], ours: Callable[[Job], bool]) -> dict[str, bool]:
        """Return for each of `permissions` (`Job/Create`, ...) whether Torii's account has it.

        Some show only by a job, for which one is taken that is `ours`. One that cannot be seen without changing anything is left out.
        """
        return {permission: allowed for permission, allowed in seen(self._api, ours).items() if permission in permissions}

    def health(self) -> str:
        """Return `ok`, or in words that it does not answer, since when and why. Asks nothing: it is what others found out."""
        return self._api.wire.pulse.health()

    def close(self) -> None:
        """End the calls under way, and any later one, with JenkinsUnavailableError."""
        self._api.wire.close()
        self._console.close()

    def _find_build(self, job: str, uuid: BuildId, builds: str, first: int, last: int) -> Build | None:
        try:
            found = self._api.json(api.JOB, job, f"{builds}[{reading.BUILDS_TREE}]{{{first},{last}}}")
        except JenkinsMissingError:
            return None
        for each in reading.many(found, builds):
            if reading.uuid(each) == uuid:
                number = reading.whole(each, "number") or 0
                return reading.build(each, job, self._build_url(job, number))
        return None

    def _running(self, executable: dict[str, object], node: str) -> Build | None:
        folder, job = reading.place(reading.text(executable, "url"))
        if folder != self.settings.folder.strip("/") or not reading.uuid(executable):
            return None
        number = reading.whole(executable, "number") or 0
        return reading.build(executable, job, self._build_url(job, number), node)

    def _queued(self, found: dict[str, object]) -> Queued | None:
        task = found.get("task")
        folder, job = reading.place(reading.text(task, "url")) if isinstance(task, dict) else ("", "")
        return reading.queued(found, job) if job and folder == self.settings.folder.strip("/") else None

    def _build_url(self, job: str, number: int) -> str:
        folders = "".join(f"job/{quote(name)}/" for name in self.settings.folder.split("/") if name)
        return f"{self.settings.url.rstrip('/')}/{folders}job/{quote(job)}/{number}/"

    def _no_folder(self, why: str) -> JenkinsMissingError:
        if not self.settings.folder:
            return JenkinsMissingError(f"{why}. Is `url` of jenkins.{self.name} the address of Jenkins' first page?")
        return JenkinsMissingError(
            f"{why}. The folder {self.settings.folder!r} of jenkins.{self.name} has to be there: make it in Jenkins (New Item, Folder), or "
            "correct `folder`"
        )
