from __future__ import annotations

import pytest

from torii.jobs import PARAMETERS, JobLibrary, JobSource
from torii.model.ids import ProjectName
from torii.model.job import JobDefinition, JobReports
from torii.worker.jobxml import LONGEST, JobXmlError, parse_job

SHELL = "<builders><hudson.tasks.Shell><command>true</command></hudson.tasks.Shell></builders>"


def test_what_was_rendered_is_what_is_run():
    run = "echo {x} \"$Y\" ']]>' é\r\n\n"
    job = JobDefinition(
        "unit", run, label="linux && big", image="python:3.11", variables=(("A", "1"),), timeout=90,
        reports=JobReports(("r.xml",), "c.xml", "lint/{a,b}.json"), artifacts=("dist/*.{whl,gz}", "a,b"),
    )  # fmt: skip
    (plain, contained) = JobLibrary().render([JobSource(ProjectName("app"), "main", each) for each in (JobDefinition("p", run), job)])
    assert parse_job("p", plain.xml).steps[0].command == run
    read = parse_job("unit", contained.xml)
    assert (read.label, read.timeout, read.image, read.junit) == ("linux && big", 90.0, "python:3.11", ("r.xml",))
    assert read.artifacts == ("dist/*.whl", "dist/*.gz", "a?b", "c.xml", "lint/a.json", "lint/b.json")
    assert read.comments == ("lint/a.json", "lint/b.json")
    assert read.parameters == (*PARAMETERS, "A")
    assert read.checkout is not None
    assert (read.checkout.url, read.checkout.ref, read.checkout.commit) == ("$TORII_URL", "$TORII_REF", "$TORII_COMMIT")
    assert run in read.steps[0].command
    assert read.ignored == ()


def test_a_job_that_torii_did_not_make_is_run_as_far_as_it_can_be():
    read = parse_job(
        "other",
        f"""<project><disabled>false</disabled>{SHELL}<publishers><hudson.tasks.Mailer/></publishers>
        <buildWrappers><hudson.plugins.timestamper.TimestamperBuildWrapper/><hudson.plugins.build__timeout.BuildTimeoutWrapper><strategy>
        <timeoutMinutes>5</timeoutMinutes></strategy></hudson.plugins.build__timeout.BuildTimeoutWrapper><x.Y/></buildWrappers></project>""".encode(),
    )
    assert (read.checkout, read.timeout, read.image) == (None, 300.0, None)
    assert read.ignored == ("hudson.tasks.Mailer", "x.Y")
    assert parse_job("bare", b"<project/>").timeout == LONGEST


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"text",
        b"<project",
        b"<matrix-project/>",
        b"<project><builders><hudson.tasks.Ant/></builders></project>",
        b"<project><scm class='hudson.scm.SubversionSCM'/></project>",
        b"<project><scm class='hudson.plugins.git.GitSCM'/></project>",
        b"<!DOCTYPE p [<!ENTITY a 'b'><!ENTITY c '&a;&a;'>]><project>&c;</project>",
        b"<!DOCTYPE p SYSTEM 'file:///etc/passwd'><project/>",
        b"<?xml version='1.0' encoding='no-such'?><project/>",
        b"<project>" + b" " * (17 * 1024 * 1024) + b"</project>",
    ],
)
def test_xml_that_is_no_job_for_this_worker_is_refused_with_a_word_why(xml):
    with pytest.raises(JobXmlError, match="job"):
        parse_job("job", xml)


@pytest.mark.parametrize("text", ["0", "-5", "x", "1e3", "٣", "999999999"])
def test_a_timeout_that_means_nothing_is_the_longest_one(text):
    parameter = f"<name>TORII_TIMEOUT</name><defaultValue>{text}</defaultValue>"
    for tag in (
        "hudson.model.StringParameterDefinition",
        "parameterDefinitions",
        "hudson.model.ParametersDefinitionProperty",
        "properties",
        "project",
    ):
        parameter = f"<{tag}>{parameter}</{tag}>"
    assert parse_job("job", parameter.encode()).timeout == LONGEST
