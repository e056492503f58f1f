"""The folder and Torii's permissions, of a check-up: tried with a job that no node can run, which is gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torii.jenkins import permissions
from torii.jenkins.controller import Controller
from torii.jenkins.errors import JenkinsError, JenkinsExistsError, JenkinsMissingError, JenkinsRefusedError
from torii.jenkins.reading import UUID
from torii.jenkins.surroundings import Surroundings
from torii.model.finding import Finding, Verdict
from torii.model.ids import BuildId

NEEDED = {
    "Job/Create": "make jobs",
    "Job/Read": "see jobs and builds",
    "Job/Configure": "change its jobs",
    "Job/Build": "start builds",
    "Job/Cancel": "stop builds",
    "Job/Delete": "remove its jobs",
}
"""What Torii needs to be allowed in its folder, and what for."""

_DESCRIPTION = "Made by `torii jenkins check` and removed by it: delete it if you see it."

_XML = f"""<?xml version="1.1" encoding="UTF-8"?>
<project>
  <description>{_DESCRIPTION}</description>
  <properties>
    <hudson.model.ParametersDefinitionProperty>
      <parameterDefinitions>
        <hudson.model.StringParameterDefinition><name>{UUID}</name><defaultValue></defaultValue></hudson.model.StringParameterDefinition>
      </parameterDefinitions>
    </hudson.model.ParametersDefinitionProperty>
  </properties>
  <scm class="hudson.scm.NullSCM"/>
  <assignedNode>torii-check-nobody</assignedNode>
  <canRoam>false</canRoam>
  <disabled>false</disabled>
  <builders/>
  <publishers/>
  <buildWrappers/>
</project>
""".encode()
"""A job for a label that no node has: it is never run, and the Gearman plug-in offers no function of it."""


def right_findings(controller: Controller, surroundings: Surroundings, try_it: bool) -> Iterator[Finding]:
    """Whether the folder is there, and what Torii may do in it."""
    where = f"the folder {controller.settings.folder!r}" if controller.settings.folder else "Jenkins' top"
    try:
        jobs = controller.jobs()
    except JenkinsMissingError as error:
        yield Finding("folder", Verdict.FAIL, str(error))
        return
    yield Finding("folder", Verdict.PASS, f"{where} is there; jobs that Torii sees in it: {len(jobs)}")
    allowed = _Trial(controller).allowed() if try_it else controller.may(permissions.ALL, surroundings.ours)
    for permission, what in NEEDED.items():
        yield _right(permission, what, allowed.get(permission), where, try_it)


def _right(permission: str, what: str, allowed: bool | None, where: str, tried: bool) -> Finding:
    if allowed is None:
        advice = "what is refused before it has to be mended first" if tried else "leave --read-only out, to see by trying"
        return Finding(permission, Verdict.UNKNOWN, f"whether Torii may {what} does not show", advice)
    if not allowed:
        return Finding(permission, Verdict.FAIL, f"Torii may not {what}", f"give its account {permission} on {where}")
    return Finding(permission, Verdict.PASS, f"Torii may {what}")


class _Trial:
    """Does with a job of its own all that Torii does with jobs, and removes it."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._job = f"torii-check-{controller.settings.owner}"
        self._allowed: dict[str, bool] = {}
        self._made = False

    def allowed(self) -> dict[str, bool]:
        """Return which permissions Torii has, and has not, as far as it got."""
        try:
            if not self._may("Job/Create", self._make):
                return self._allowed
            # Who may make jobs and not read them is told that it is not there.
            if self._may("Job/Read", lambda: self._there(self._job in self._controller.jobs())):
                self._may("Job/Configure", lambda: self._controller.update(self._job, _XML))
                if self._may("Job/Build", lambda: self._controller.start(self._job, {UUID: self._job})):
                    self._may("Job/Cancel", self._cancel)
        finally:
            # Also where the answer to its making got lost.
            if self._made or (self._allowed.get("Job/Create", True) and self._is_there()):
                self._may("Job/Delete", lambda: self._there(self._controller.delete(self._job)))
        return self._allowed

    def _may(self, permission: str, deed: Callable[[], object]) -> bool:
        try:
            deed()
            self._allowed[permission] = True
        except (JenkinsRefusedError, JenkinsMissingError):
            self._allowed[permission] = False
        return self._allowed[permission]

    def _make(self) -> None:
        try:
            self._controller.create(self._job, _XML)
        except JenkinsExistsError:
            if not self._is_there():
                raise JenkinsError(
                    f"there is a job {self._job} already that `torii jenkins check` did not make, or that Torii may not see: it is left "
                    "alone, and permissions are not tried; rename or remove it"
                ) from None
            # An earlier check did not come to its end.
            self._controller.delete(self._job)
            self._controller.create(self._job, _XML)
        self._made = True

    def _is_there(self) -> bool:
        """Whether a job of that name is there that a check has made, and not somebody else."""
        job = self._controller.jobs().get(self._job)
        return job is not None and job.description == _DESCRIPTION

    def _cancel(self) -> None:
        """Take the build out of the queue. Jenkins does not say when it may not: then it is still there."""
        for item in self._controller.queue():
            if item.job == self._job:
                self._controller.cancel(item.id)
        if self._controller.find(self._job, BuildId(self._job)) is not None:
            raise JenkinsRefusedError("the item is still in the queue")

    def _there(self, found: object) -> None:
        if not found:
            raise JenkinsMissingError(f"{self._job} is not to be seen")
