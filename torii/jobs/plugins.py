"""Which of Jenkins' plug-ins a job needs, and what Torii does in a Jenkins that lacks one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torii.jobs.xml import parse

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from torii.jenkins.values import Plugin  # what renders for Torii's own worker need not load a client of Jenkins


@dataclass(frozen=True, slots=True)
class Part:
    """What a job gets from a plug-in, and what it is without: both in words. Nothing works without one that is `required`."""

    plugin: str
    what: str
    without: str
    required: bool = False


GIT = Part("git", "the checkout of the tested state", "no job of Torii can work at all", required=True)
TIMEOUT = Part(
    "build-timeout",
    "the end of a build that runs too long",
    "the shell step itself is ended after its `timeout` (by coreutils' `timeout` on the node), and the build is then a FAILURE "
    "whose log says that it timed out",
)
JUNIT = Part(
    "junit",
    "test results",
    "report files are archived with the artifacts, and Torii reads them there; Jenkins itself shows no test results",
)
TIMESTAMPS = Part("timestamper", "the time beside each line of the console in Jenkins", "lines have no times there")
COLOURS = Part("ansicolor", "colours in the console in Jenkins", "colours are shown there as control characters")

PARTS = (GIT, TIMEOUT, JUNIT, TIMESTAMPS, COLOURS)

OPTIONAL = frozenset(part.plugin for part in PARTS if not part.required)
"""The plug-ins that make a difference to what is rendered."""

OWN_WORKER = frozenset({TIMEOUT.plugin, JUNIT.plugin})
"""What jobs are rendered with where nothing is said: all that Torii's own worker knows to do."""

_CLASSES = (
    (r"hudson\.plugins\.git\.", GIT.plugin),
    (r"hudson\.plugins\.build__timeout\.", TIMEOUT.plugin),
    (r"hudson\.tasks\.junit\.", JUNIT.plugin),
    (r"hudson\.plugins\.timestamper\.", TIMESTAMPS.plugin),
    (r"hudson\.plugins\.ansicolor\.", COLOURS.plugin),
    (r"hudson\.plugins\.ws__cleanup\.", "ws-cleanup"),
    (r"hudson\.plugins\.emailext\.", "email-ext"),
    (r"hudson\.tasks\.Mailer\b", "mailer"),
    (r"hudson\.plugins\.cobertura\.", "cobertura"),
    (r"hudson\.plugins\.jacoco\.", "jacoco"),
    (r"htmlpublisher\.", "htmlpublisher"),
    (r"io\.jenkins\.plugins\.analysis\.", "warnings-ng"),
    (r"io\.jenkins\.plugins\.coverage\.", "coverage"),
    (r"org\.jenkinsci\.plugins\.credentialsbinding\.", "credentials-binding"),
    (r"com\.cloudbees\.jenkins\.plugins\.sshagent\.", "ssh-agent"),
    (r"org\.jenkinsci\.plugins\.configfiles\.", "config-file-provider"),
    (r"hudson\.plugins\.parameterizedtrigger\.", "parameterized-trigger"),
    (r"hudson\.plugins\.copyartifact\.", "copyartifact"),
    (r"hudson\.plugins\.throttleconcurrents\.", "throttle-concurrents"),
    (r"hudson\.plugins\.xvnc\.", "xvnc"),
    (r"org\.jenkinsci\.plugins\.envinject\.|EnvInject", "envinject"),
)
"""Classes in a job's XML, and the plug-in that brings them. A team's own templates may use any."""
_CLASS = [(re.compile(pattern), plugin) for pattern, plugin in _CLASSES]


def installed(plugins: Mapping[str, Plugin]) -> frozenset[str]:
    """Return the short names of the plug-ins that a Jenkins has and runs."""
    return frozenset(name for name, plugin in plugins.items() if plugin.active)


def relevant(plugins: Iterable[str]) -> tuple[str, ...]:
    """Return those of `plugins` that make a difference to a job, in order: what it is rendered with."""
    return tuple(sorted(OPTIONAL.intersection(plugins)))


def used(xml: bytes) -> frozenset[str]:
    """Return the plug-ins that the job `xml` uses, as far as its classes are known here."""
    root = parse(xml)
    if root is None:
        return frozenset()
    return frozenset(plugin for name in _names(root) for pattern, plugin in _CLASS if pattern.match(name))


def lacking(plugins: Iterable[str], jobs: Mapping[str, bytes]) -> list[str]:
    """Return a sentence for each plug-in that a Jenkins with `plugins` lacks and that one of `jobs` (name, XML) uses or would use."""
    there = frozenset(plugins)
    said = [f"the plug-in {part.plugin} is not installed ({part.what}): {part.without}" for part in PARTS if part.plugin not in there]
    known = {part.plugin for part in PARTS}
    needed: dict[str, list[str]] = {}
    for name, xml in jobs.items():
        for plugin in used(xml) - there:
            if plugin not in known or plugin in OPTIONAL:
                needed.setdefault(plugin, []).append(name)
    for plugin, names in sorted(needed.items()):
        shown = ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        said.append(f"the plug-in {plugin} is not installed, and a template of your own uses it: Jenkins drops that part of {shown}")
    return said


def _names(root: Element) -> frozenset[str]:
    found = set()
    for element in root.iter():
        found.add(element.tag)
        found.add(element.get("class", ""))
    return frozenset(found)
