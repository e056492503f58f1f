from __future__ import annotations

from xml.etree import ElementTree

import pytest

from torii.jenkins.values import Plugin
from torii.jobs import JobLibrary, JobSource, installed
from torii.jobs.plugins import OPTIONAL, lacking, relevant, used
from torii.model.ids import ProjectName
from torii.model.job import JobDefinition, JobReports

LIBRARY = JobLibrary()
JOB = JobDefinition("unit", "#!/bin/bash\nmake\n", timeout=90, reports=JobReports(("report.xml",)), artifacts=("dist/*",))


def xml(*plugins: str, job: JobDefinition = JOB) -> ElementTree.Element:
    (made,) = LIBRARY.render([JobSource(ProjectName("app"), "main", job)], plugins)
    return ElementTree.fromstring(made.xml)


def test_an_inactive_plugin_is_not_installed():
    assert installed({"git": Plugin("git", "4", True), "junit": Plugin("junit", "1", False)}) == {"git"}
    assert relevant(["git", "timestamper", "junit", "mailer"]) == ("junit", "timestamper")


def test_times_and_colours_are_asked_for_where_the_plugins_are():
    classes = {"hudson.plugins.timestamper.TimestamperBuildWrapper", "hudson.plugins.ansicolor.AnsiColorBuildWrapper"}
    assert classes <= {element.tag for element in xml(*OPTIONAL).iter()}
    assert not classes & {element.tag for element in xml("build-timeout").iter()}


def test_without_junit_the_reports_are_archived():
    assert xml("junit").findtext("publishers/hudson.tasks.ArtifactArchiver/artifacts") == "dist/*"
    plain = xml()
    assert plain.find("publishers/hudson.tasks.junit.JUnitResultArchiver") is None
    assert plain.findtext("publishers/hudson.tasks.ArtifactArchiver/artifacts") == "dist/*,report.xml"


def test_without_build_timeout_the_step_limits_itself_and_is_still_there_in_full():
    assert xml("build-timeout").findtext("builders/hudson.tasks.Shell/command") == JOB.run
    plain = xml()
    assert plain.find("buildWrappers/hudson.plugins.build__timeout.BuildTimeoutWrapper") is None
    command = plain.findtext("builders/hudson.tasks.Shell/command") or ""
    assert JOB.run in command
    assert "timeout --kill-after=30 90 " in command
    assert "/bin/bash" in command


def test_each_plugin_that_is_missing_is_said_with_what_happens_without_it():
    said = lacking({"git", "junit", "ansicolor"}, {})
    assert [words.split(" is ")[0] for words in said] == ["the plug-in build-timeout", "the plug-in timestamper"]
    assert "coreutils" in said[0]


def test_a_plugin_that_a_template_uses_is_found_and_named_with_the_jobs():
    wrapper = b"<buildWrappers><hudson.plugins.ws__cleanup.PreBuildCleanup/></buildWrappers>"
    data = b"<project>" + wrapper + b"<scm class='hudson.plugins.git.GitSCM'/></project>"
    assert used(data) == {"git", "ws-cleanup"}
    (said,) = lacking({"git", *OPTIONAL}, {f"job{number}": data for number in range(5)})
    assert "ws-cleanup is not installed" in said
    assert "job0, job1, job2 and 2 more" in said


@pytest.mark.parametrize("plugins", [(), tuple(OPTIONAL)])
def test_what_torii_renders_uses_nothing_that_was_not_there(plugins):
    (made,) = LIBRARY.render([JobSource(ProjectName("app"), "main", JOB)], plugins)
    assert used(made.xml) == {"git", *plugins}
