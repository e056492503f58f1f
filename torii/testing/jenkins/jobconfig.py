"""What Jenkins itself reads of a job's config.xml: parameters, label, whether it may run, and how many of it at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

KINDS = {
    "project": "hudson.model.FreeStyleProject",
    "flow-definition": "org.jenkinsci.plugins.workflow.job.WorkflowJob",
    "matrix-project": "hudson.matrix.MatrixProject",
    "com.cloudbees.hudson.plugins.folder.Folder": "com.cloudbees.hudson.plugins.folder.Folder",
}
"""Root elements that this Jenkins has the plug-ins for, and the class of each."""

_DECLARATION = re.compile(rb"""^\s*<\?xml\s+version=["'](1\.[01])["'][^>]*\?>\s*""")
_DISABLED = re.compile(rb"<disabled>[^<]*</disabled>")
_DOCTYPE = re.compile(rb"<!DOCTYPE[^\[>]*(\[[^\]]*\])?\s*>")
_ENTITY = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);|#)[\w.-]+;")
_CONTROL = re.compile(rb"&#(?:x0*(?:[1-8bcef]|1[0-9a-f])|0*(?:[1-8]|1[124-9]|2\d|3[01]));", re.IGNORECASE)
_ROOT_END = re.compile(rb"</[\w.-]+>\s*$")


class BadXmlError(Exception):
    """Jenkins answers such XML with 500."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared parameter. `kind` is Jenkins' class without its package (`StringParameterDefinition`)."""

    name: str
    kind: str
    default: str = ""
    description: str = ""
    choices: tuple[str, ...] = ()

    @property
    def value_kind(self) -> str:
        kind = "String" if self.kind == "ChoiceParameterDefinition" else self.kind.removesuffix("ParameterDefinition")
        return f"hudson.model.{kind}ParameterValue"


@dataclass(frozen=True, slots=True)
class JobConfig:
    """A job as its config.xml has it. `token` is what lets anybody start it, `quiet` seconds (None: as Jenkins is set)."""

    kind: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    label: str | None = None
    disabled: bool = False
    concurrent: bool = False
    quiet: float | None = None
    token: str = ""
    scm: str = "hudson.scm.NullSCM"
    axes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    discards: bool = False

    @property
    def is_folder(self) -> bool:
        return self.kind.endswith(".Folder")


def read_config(xml: bytes) -> JobConfig:
    """Return what `xml` says. Raises `BadXmlError` for what Jenkins refuses: no XML, or a root element that it has no class for."""
    try:
        # what Jenkins writes itself is XML 1.1, which Python cannot read
        found = _DECLARATION.match(xml)
        root = fromstring(
            (_CONTROL if found and found[1] == b"1.1" else _ENTITY).sub(b"", stored(xml).partition(b"?>")[2]), forbid_dtd=True
        )
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise BadXmlError(f"Failed to persist config.xml: {error}") from error
    if root.tag not in KINDS:
        raise BadXmlError(f"com.thoughtworks.xstream.mapper.CannotResolveClassException: {root.tag}")
    properties = root.find("properties")
    return JobConfig(
        kind=KINDS[root.tag],
        description=root.findtext("description") or "",
        parameters=tuple(_parameters(root)),
        label=(root.findtext("assignedNode") or "").strip() or None,
        disabled=root.findtext("disabled") == "true",
        concurrent=_concurrent(root),
        quiet=_number(root.findtext("quietPeriod")),
        token=root.findtext("authToken") or "",
        scm=scm.get("class", "hudson.scm.NullSCM") if (scm := root.find("scm")) is not None else "hudson.scm.NullSCM",
        axes=tuple(
            (axis.findtext("name") or "", tuple(v.text or "" for v in axis.iterfind("values/string"))) for axis in root.iterfind("axes/*")
        ),
        discards=root.find("logRotator") is not None
        or (properties is not None and properties.find("jenkins.model.BuildDiscarderProperty") is not None),
    )


def stored(xml: bytes) -> bytes:
    """Return `xml` as Jenkins keeps it when it was posted: the same, behind a declaration of Jenkins' own, with no entity of its own."""
    found = _DECLARATION.match(xml)
    version = found[1] if found else b"1.0"
    body = xml[found.end() :] if found else xml.lstrip()
    if _DOCTYPE.match(body):
        body = re.sub(rb"<([\w.-]+)></\1>", rb"<\1/>", _ENTITY.sub(b"", _DOCTYPE.sub(b"", body, count=1)))
    return b'<?xml version="%s" encoding="UTF-8"?>' % version + body


def with_disabled(xml: bytes, disabled: bool) -> bytes:
    """Return `xml` with the job disabled, or enabled."""
    element = b"<disabled>%s</disabled>" % (b"true" if disabled else b"false")
    if _DISABLED.search(xml):
        return _DISABLED.sub(element, xml, count=1)
    if found := _ROOT_END.search(xml):
        return xml[: found.start()] + element + xml[found.start() :]
    return re.sub(rb"<([\w.-]+)/>\s*$", lambda root: b"<%s>%s</%s>" % (root[1], element, root[1]), xml)


def _parameters(root: Element) -> list[Parameter]:
    found = []
    for each in root.iterfind("properties/hudson.model.ParametersDefinitionProperty/parameterDefinitions/*"):
        choices = tuple(choice.text or "" for choice in (*each.iterfind("choices/a/string"), *each.iterfind("choices/string")))
        default = each.findtext("defaultValue") or (choices[0] if choices else "")
        kind = each.tag.rpartition(".")[2]
        found.append(Parameter(each.findtext("name") or "", kind, default, each.findtext("description") or "", choices))
    return found


def _concurrent(root: Element) -> bool:
    if root.tag == "flow-definition":
        return root.find("properties/org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty") is None
    return root.findtext("concurrentBuild") == "true"


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
