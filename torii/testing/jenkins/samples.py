"""A config.xml to begin with, for tests that do not render one from a torii.yml."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

_STRING = "hudson.model.StringParameterDefinition"
_DECLARED = "hudson.model.ParametersDefinitionProperty"
_JUNIT = "hudson.tasks.junit.JUnitResultArchiver"
_ARCHIVER = "hudson.tasks.ArtifactArchiver"


def job_xml(
    *steps: str,
    parameters: Iterable[str] = ("TORII_UUID",),
    label: str = "",
    concurrent: bool = True,
    junit: str = "",
    artifacts: str = "",
    description: str = "",
) -> str:
    """Return the config.xml of a freestyle job that runs `steps`; each of `parameters` is a name, or `NAME=default`."""
    pairs = [name.partition("=") for name in parameters]
    declared = "".join(f"<{_STRING}><name>{escape(n)}</name><defaultValue>{escape(d)}</defaultValue></{_STRING}>" for n, _, d in pairs)
    properties = f"<{_DECLARED}><parameterDefinitions>{declared}</parameterDefinitions></{_DECLARED}>" if declared else ""
    publishers = f"<{_JUNIT}><testResults>{escape(junit)}</testResults></{_JUNIT}>" if junit else ""
    publishers += f"<{_ARCHIVER}><artifacts>{escape(artifacts)}</artifacts></{_ARCHIVER}>" if artifacts else ""
    node = f"<assignedNode>{escape(label)}</assignedNode><canRoam>false</canRoam>" if label else "<canRoam>true</canRoam>"
    builders = "".join(f"<hudson.tasks.Shell><command>{escape(step)}</command></hudson.tasks.Shell>" for step in steps)
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><project><description>{escape(description)}</description>"
        f"<properties>{properties}</properties><scm class='hudson.scm.NullSCM'/>{node}<disabled>false</disabled>"
        f"<concurrentBuild>{'true' if concurrent else 'false'}</concurrentBuild><builders>{builders}</builders>"
        f"<publishers>{publishers}</publishers><buildWrappers/></project>"
    )
