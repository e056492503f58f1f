"""What no single key of `server.yml` shows: names that name nothing, and keys that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torii.config.connection_file import ConnectionEntry, GerritEntry, GitEntry, connection_at, contradictions_of
from torii.config.connections import DEFAULT_CONNECTION, connection_name, project_address
from torii.config.document import Document, Listing, Mapping, Scalar
from torii.config.jenkins_file import ConfigProjectEntry, JenkinsEntry, mistakes_of
from torii.config.located import sound
from torii.config.pipeline_file import PipelineEntry
from torii.config.pipelines import DEFAULT_PIPELINES, contradictions
from torii.config.server_file import ProjectEntry
from torii.config.wording import did_you_mean, listed, shown
from torii.model.job import ConfigProblem


class Across:
    """Looks at every part that is right in itself."""

    def __init__(self, document: Document, directory: Path) -> None:
        self.document = document
        self.directory = directory
        self.connections = self._names("connections")
        flag = document.find(("default-pipelines",))
        off = flag[0] and getattr(flag[2], "text", "").lower() == "false"
        self.jenkins = self._names("jenkins")
        self.pipelines = [*([] if off else [str(pipeline.name) for pipeline in DEFAULT_PIPELINES]), *self._names("pipelines")]

    def _names(self, section: str) -> list[str]:
        node = self.document.find((section,))
        return list(node[2].entries) if node[0] and isinstance(node[2], Mapping) else []

    def check(self) -> Iterator[ConfigProblem]:
        for name in self._names("pipelines"):
            pipeline = sound(self.document, ("pipelines", name), PipelineEntry)
            for path, message, suggestion in contradictions(pipeline) if pipeline else ():
                yield self.document.problem(("pipelines", name, *path), message, suggestion, key=True)
        for name in self.connections:
            connection = connection_at(self.document, name)
            for key, message, suggestion in contradictions_of(connection) if connection else ():
                yield self.document.problem(("connections", name, key), message, suggestion, key=True)
        yield from self._gearman()
        yield from self._jenkins()
        homes: dict[str, str] = {}
        lower: dict[str, str] = {}
        for name in self._names("projects"):
            other = lower.setdefault(name.lower(), name)
            if other != name:
                message = f"the project name {shown(name)} differs from {shown(other)} only in upper and lower case"
                yield self.document.problem(("projects", name), message, key=True)
            yield from self._references(name)
            entry = sound(self.document, ("projects", name), ProjectEntry)
            if entry is not None:
                yield from self._place(name, entry, homes)

    def _gearman(self) -> Iterator[ConfigProblem]:
        _, _, node = self.document.find(("gearman",))
        if isinstance(node, Mapping) and "servers" in node.entries:
            servers = node.entries["servers"][1]
            for key in ("host", "port"):
                if key in node.entries and not (isinstance(servers, Listing) and not servers.items):
                    message = "is for the embedded server, and servers names others"
                    yield self.document.problem(("gearman", key), message, "remove one of them", key=True)

    def _jenkins(self) -> Iterator[ConfigProblem]:
        for name in self.jenkins:
            entry = self._controller(name)
            for key, message, suggestion in mistakes_of(entry) if entry else ():
                yield self.document.problem(("jenkins", name, key), message, suggestion, key=True)
        chosen = sound(self.document, ("config-project",), ConfigProjectEntry) if self._config_project_is_mapping() else None
        named = chosen.project if chosen else self._config_project_text()
        if named and named not in (projects := self._names("projects")):
            near = did_you_mean(named, projects) or (f"there are: {listed(projects)}" if projects else "name it under projects, too")
            where = ("config-project", "project") if chosen else ("config-project",)
            yield self.document.problem(where, f"there is no project {shown(named)}", near)

    def _config_project_is_mapping(self) -> bool:
        return isinstance(self.document.find(("config-project",))[2], Mapping)

    def _config_project_text(self) -> str:
        path, _, node = self.document.find(("config-project",))
        return node.text if path and isinstance(node, Scalar) and not node.empty else ""

    def _controller(self, name: str) -> JenkinsEntry | None:
        return sound(self.document, ("jenkins", name), JenkinsEntry)

    def _runs_on(self, name: str, node: object) -> Iterator[ConfigProblem]:
        """Check the controllers that a project names, or, where it names none, all of them."""
        here = ("projects", name, "jenkins")
        items = node.items if isinstance(node, Listing) else [node] if isinstance(node, Scalar) and not node.empty else []
        named = [item.text for item in items if isinstance(item, Scalar)] if node is not None else self.jenkins
        for index, one in enumerate(named):
            if one not in self.jenkins:
                near = did_you_mean(one, self.jenkins) or (f"there are: {listed(self.jenkins)}" if self.jenkins else "add it under jenkins")
                yield self.document.problem(
                    (*here, index) if isinstance(node, Listing) else here, f"there is no Jenkins {shown(one)}", near
                )
        ways = {one: entry.dispatch.value for one in named if (entry := self._controller(one)) is not None}
        if len(set(ways.values())) > 1:
            said = listed([f"{one} ({way})" for one, way in ways.items()])
            message = f"its builds cannot be started in two ways: {said}"
            yield self.document.problem(here if node is not None else here[:2], message, "name the Jenkins that it runs on", key=True)

    def _references(self, name: str) -> Iterator[ConfigProblem]:
        here = ("projects", name)
        _, _, node = self.document.find(here)
        given = node.entries if isinstance(node, Mapping) else {}
        wanted = given["pipelines"][1] if "pipelines" in given else None
        items = enumerate(wanted.items) if isinstance(wanted, Listing) else [(0, wanted)]
        for index, pipeline in items:
            if isinstance(pipeline, Scalar) and not pipeline.empty and pipeline.text not in self.pipelines:
                near = did_you_mean(pipeline.text, self.pipelines) or f"there are: {listed(self.pipelines)}"
                yield self.document.problem((*here, "pipelines", index), f"there is no pipeline {shown(pipeline.text)}", near)
        yield from self._runs_on(name, given["jenkins"][1] if "jenkins" in given else None)
        if "url" in given and "path" in given:
            yield self.document.problem((*here, "path"), "url says where the project is already", "remove one of them", key=True)
        chosen = given["connection"][1] if "connection" in given else None
        if isinstance(chosen, Scalar) and not chosen.empty and chosen.text not in (self.connections or [DEFAULT_CONNECTION]):
            near = did_you_mean(chosen.text, self.connections) or (f"there are: {listed(self.connections)}" if self.connections else "")
            yield self.document.problem((*here, "connection"), f"there is no connection {shown(chosen.text)}", near)

    def _place(self, name: str, entry: ProjectEntry, homes: dict[str, str]) -> Iterator[ConfigProblem]:
        chosen = connection_name(entry, self.connections)
        if chosen is None:
            message = f"does not say which connection: {listed(self.connections)}"
            yield self.document.problem(("projects", name), message, "add connection", key=True)
        elif connection := connection_at(self.document, chosen) or self._default(chosen):
            yield from self._on_gerrit(name, connection)
            yield from self._home(name, project_address(name, entry, connection, self.directory), homes)

    def _on_gerrit(self, name: str, connection: ConnectionEntry) -> Iterator[ConfigProblem]:
        if not isinstance(connection, GerritEntry):
            return
        for key, message, suggestion in (
            ("url", "a project of a Gerrit is where its connection is", "name it by path, if it has another name there"),
            ("merge", "how changes merge is said by the Gerrit: the project's submit type", "remove it"),
        ):
            here = ("projects", name, key)
            if self.document.find(here)[0] == here:
                yield self.document.problem(here, message, suggestion, key=True)

    def _default(self, chosen: str) -> GitEntry | None:
        return GitEntry() if chosen == DEFAULT_CONNECTION and not self.connections else None

    def _home(self, name: str, url: str | None, homes: dict[str, str]) -> Iterator[ConfigProblem]:
        if url is None:
            yield self.document.problem(
                ("projects", name), "nothing says where the project is", "add url, or give its connection one", key=True
            )
            return
        other = homes.setdefault(url.rstrip("/").removesuffix(".git"), name)
        if other != name:
            yield self.document.problem(("projects", name), f"is at the same address as the project {shown(other)}", key=True)
