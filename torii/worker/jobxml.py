"""Reads a Jenkins job's config.xml: what this worker can run of it, as a frozen value. What it cannot run it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from torii.errors import UserError
from torii.jobs.parameters import SETTINGS

SIZE_LIMIT = 16 * 1024 * 1024
"""Bytes of XML that are read."""
LONGEST = 24 * 3600.0
"""Seconds after which a build is stopped whose job names no limit."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STRING_LIKE = frozenset(
    {"StringParameterDefinition", "TextParameterDefinition", "ChoiceParameterDefinition", "BooleanParameterDefinition"}
)
_SILENT = frozenset({"hudson.plugins.timestamper.TimestamperBuildWrapper", "hudson.plugins.ansicolor.AnsiColorBuildWrapper"})


class JobXmlError(UserError):
    """The XML is no job that this worker can run."""


@dataclass(frozen=True, slots=True)
class Step:
    """One shell step. An exit status of `unstable` makes the build unstable instead of failed (0: none does)."""

    command: str
    unstable: int = 0


@dataclass(frozen=True, slots=True)
class Checkout:
    """What is checked out; each may hold `$NAME`s of parameters."""

    url: str
    ref: str
    commit: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its XML has it. `timeout` is seconds; `junit`, `artifacts` and `comments` are patterns of Ant.

    `ignored` names what has no effect.
    """

    name: str
    label: str | None = None
    parameters: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    checkout: Checkout | None = None
    timeout: float = LONGEST
    image: str | None = None
    junit: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()
    disabled: bool = False
    ignored: tuple[str, ...] = ()


def parse_job(name: str, xml: bytes) -> Job:
    """Return the freestyle job in `xml`. Raises `JobXmlError` for anything else, and for builders and sources that are not known here."""
    if len(xml) > SIZE_LIMIT:
        raise JobXmlError(f"the XML of job {name} is larger than {SIZE_LIMIT >> 20} MiB")
    try:
        root = fromstring(xml, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise JobXmlError(f"the XML of job {name} cannot be read: {error}") from error
    if root.tag != "project":
        raise JobXmlError(f"job {name} is a <{root.tag[:60]}>, not a freestyle project, which is all that Torii's worker runs")
    declared = dict(_parameters(root))
    junit, artifacts, ignored = _publishers(root)
    return Job(
        name=name,
        label=root.findtext("assignedNode") or None,
        parameters=tuple(each for each in declared if each not in SETTINGS),
        steps=tuple(_steps(name, root)),
        checkout=_checkout(name, root),
        timeout=_timeout(root, declared),
        image=declared.get("TORII_IMAGE") or None,
        junit=junit,
        artifacts=artifacts,
        comments=tuple(_patterns(declared.get("TORII_COMMENTS"))),
        disabled=root.findtext("disabled") == "true",
        ignored=(*ignored, *_wrappers(root)),
    )


def _parameters(root: Element) -> Iterator[tuple[str, str]]:
    for each in root.iterfind("properties/hudson.model.ParametersDefinitionProperty/parameterDefinitions/*"):
        name = each.findtext("name", "")
        if each.tag.rpartition(".")[2] in _STRING_LIKE and _VARIABLE.fullmatch(name):
            yield name, each.findtext("defaultValue") or ""


def _steps(name: str, root: Element) -> Iterator[Step]:
    for builder in root.iterfind("builders/*"):
        if builder.tag != "hudson.tasks.Shell":
            raise JobXmlError(f"job {name} has the builder {builder.tag[:120]}; Torii's worker runs shell steps only, Jenkins would run it")
        status = builder.findtext("unstableReturn") or "0"
        yield Step(builder.findtext("command") or "", int(status) if status.isdigit() else 0)


def _checkout(name: str, root: Element) -> Checkout | None:
    scm = root.find("scm")
    if scm is None or scm.get("class") == "hudson.scm.NullSCM":
        return None
    remotes = scm.findall("userRemoteConfigs/hudson.plugins.git.UserRemoteConfig")
    if scm.get("class") != "hudson.plugins.git.GitSCM" or len(remotes) != 1:
        raise JobXmlError(
            f"job {name} does not take its source from exactly one git repository, which is all that Torii's worker can check out"
        )
    return Checkout(
        url=remotes[0].findtext("url") or "",
        ref=remotes[0].findtext("refspec") or "",
        commit=scm.findtext("branches/hudson.plugins.git.BranchSpec/name") or "",
    )


def _timeout(root: Element, declared: dict[str, str]) -> float:
    minutes = root.findtext("buildWrappers/hudson.plugins.build__timeout.BuildTimeoutWrapper/strategy/timeoutMinutes") or ""
    for text, unit in ((declared.get("TORII_TIMEOUT", ""), 1.0), (minutes, 60.0)):
        if text.isascii() and text.isdigit() and 0 < int(text) * unit <= LONGEST:
            return int(text) * unit
    return LONGEST


def _publishers(root: Element) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    junit: list[str] = []
    artifacts: list[str] = []
    ignored: list[str] = []
    for publisher in root.iterfind("publishers/*"):
        match publisher.tag:
            case "hudson.tasks.junit.JUnitResultArchiver":
                junit += _patterns(publisher.findtext("testResults"))
            case "hudson.tasks.ArtifactArchiver":
                artifacts += _patterns(publisher.findtext("artifacts"))
            case other:
                ignored.append(other[:120])
    return tuple(junit), tuple(artifacts), tuple(ignored)


def _wrappers(root: Element) -> Iterator[str]:
    for wrapper in root.iterfind("buildWrappers/*"):
        if wrapper.tag != "hudson.plugins.build__timeout.BuildTimeoutWrapper" and wrapper.tag not in _SILENT:
            yield wrapper.tag[:120]


def _patterns(text: str | None) -> list[str]:
    return [pattern.strip() for pattern in (text or "").split(",") if pattern.strip()]
