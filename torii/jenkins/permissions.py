"""What Torii's account may do in Jenkins, as far as that shows without changing anything: by questions that only who may is answered."""

from __future__ import annotations

from collections.abc import Callable

import jenkins

from torii.jenkins import api, reading
from torii.jenkins.errors import JenkinsError, JenkinsInvalidError, JenkinsMissingError, JenkinsRefusedError
from torii.jenkins.values import Job

ALL = ("Overall/Read", "Job/Create", "Job/Read", "Job/Configure", "Job/Build", "Job/Cancel", "Job/Delete")
"""What Torii needs, in Jenkins' words."""


def seen(rest: api.Api, ours: Callable[[Job], bool]) -> dict[str, bool]:
    """Return whether Torii has each of the permissions that show, some of them by a job that is `ours`. Raises JenkinsUnavailableError."""
    allowed: dict[str, bool] = {}

    def ask(permission: str, question: Callable[[], object]) -> None:
        try:
            question()
        except JenkinsRefusedError:
            allowed[permission] = False
        except (JenkinsInvalidError, JenkinsMissingError):
            return
        else:
            allowed[permission] = True

    ask("Overall/Read", lambda: rest.json(jenkins.INFO, tree="mode"))
    if not allowed["Overall/Read"]:
        return allowed
    ask("Overall/Administer", lambda: rest.wire.get(rest.url("script")))
    if allowed.get("Overall/Administer"):
        return allowed | dict.fromkeys(ALL, True)
    _creating(rest, allowed)
    jobs = list(reading.many(_folder(rest), "jobs"))
    if jobs:
        allowed["Job/Read"] = True
    # Nobody else's is asked for a build, not even for one that will not start.
    if (job := next((each for each in jobs if ours(reading.job(each))), None)) is not None:
        name = reading.text(job, "name")
        ask("Job/Configure", lambda: rest.wire.get(rest.url(jenkins.CONFIG_JOB, name)))
        if any(reading.many(each, "parameterDefinitions") for each in reading.many(job, "property")):
            _building(rest, name, allowed)
    return allowed


def _folder(rest: api.Api) -> dict[str, object]:
    try:
        return rest.json(api.FOLDER, tree=f"jobs[{reading.JOB_TREE},property[parameterDefinitions[name]]]")
    except JenkinsMissingError:
        return {}


def _creating(rest: api.Api, allowed: dict[str, bool]) -> None:
    """A job without a name is made by nobody; who may make none at all is told so first."""
    try:
        rest.post(api.NAMELESS)
    except JenkinsRefusedError:
        allowed["Job/Create"] = False
    except JenkinsInvalidError:
        allowed["Job/Create"] = True
    except JenkinsMissingError:
        return


def _building(rest: api.Api, job: str, allowed: dict[str, bool]) -> None:
    """A build of a job with parameters is not started without a form; who may start none at all is told so first."""
    try:
        rest.post(jenkins.BUILD_JOB, job)
    except JenkinsRefusedError:
        allowed["Job/Build"] = False
    except JenkinsInvalidError:
        allowed["Job/Build"] = True
    except JenkinsError:
        return
