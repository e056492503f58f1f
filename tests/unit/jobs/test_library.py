from __future__ import annotations

import dataclasses
from pathlib import Path
from xml.etree import ElementTree

import pytest

from torii.jobs import OWNERSHIP_MARK, PARAMETERS, JobError, JobLibrary, JobSource, build_parameters, changed_job_name
from torii.jobs.definition import TemplateProblem
from torii.jobs.files import own_files
from torii.model.build import BuildRequest
from torii.model.ids import BuildId, BuildSetId, ChangeId, PipelineName, ProjectName, Sha
from torii.model.job import JobDefinition, JobReports

UNIT = JobDefinition(
    name="unit",
    run="make check\n",
    label="linux",
    variables=(("LANG", "C.UTF-8"), ("BRACES", "{x} ${y}")),
    timeout=90,
    reports=JobReports(junit=("report.xml", "more/*.xml"), coverage="coverage.xml", comments="comments.json"),
    artifacts=("dist/*", "coverage.xml"),
)


@pytest.fixture(scope="module")
def library() -> JobLibrary:
    return JobLibrary("https://ci.example.com/?a=1&b=2")


def source(job: JobDefinition, branch: str = "main") -> JobSource:
    return JobSource(ProjectName("tools/app"), branch, job)


def xml_of(library: JobLibrary, job: JobDefinition) -> ElementTree.Element:
    (made,) = library.render([source(job)])
    return ElementTree.fromstring(made.xml)


def parameters_of(root: ElementTree.Element) -> dict[str, str]:
    return {each.findtext("name", ""): each.findtext("defaultValue", "") for each in root.iter("hudson.model.StringParameterDefinition")}


def request(job: JobDefinition, synced: bool) -> BuildRequest:
    return BuildRequest(
        id=BuildId("4c7a3b1e-2f5d-5e0a-9d43-0f6b1c2d3e4f"),
        build_set=BuildSetId("k3f9-17.2"),
        job=job,
        synced=synced,
        pipeline=PipelineName("gate"),
        project=ProjectName("tools/app"),
        branch="main",
        change=ChangeId("app:main/fix"),
        patchset="abc",
        changes=((ChangeId("app:main/a"), "1"), (ChangeId("app:main/fix"), "abc")),
        ref="refs/staging/gate/k3f9-17.2/main",
        commit=Sha("1" * 40),
    )


def test_a_job_declares_every_parameter_and_its_own_variables(library):
    declared = parameters_of(xml_of(library, UNIT))
    assert [name for name in declared if name in PARAMETERS] == list(PARAMETERS)
    assert declared["LANG"] == "C.UTF-8"
    assert declared["BRACES"] == "{x} ${y}"
    assert declared["TORII_TIMEOUT"] == "90"
    assert "TORII_IMAGE" not in declared
    assert declared["TORII_COMMENTS"] == "comments.json"


def test_a_request_fills_in_every_declared_parameter(library):
    filled = build_parameters(request(UNIT, True), "https://git.example.com/app", "https://ci.example.com/builds/1")
    assert set(parameters_of(xml_of(library, UNIT))) - set(filled) == {"TORII_TIMEOUT", "TORII_COMMENTS"}
    assert filled["TORII_CHANGES"] == "app:main/a,1 app:main/fix,abc"
    assert filled["TORII_OLDREV"] == ""


def test_builds_of_one_job_may_run_at_once_and_only_on_its_label(library):
    root = xml_of(library, UNIT)
    assert root.findtext("concurrentBuild") == "true"
    assert root.findtext("assignedNode") == "linux"
    assert root.findtext("canRoam") == "false"
    assert xml_of(library, dataclasses.replace(UNIT, label=None)).findtext("canRoam") == "true"


def test_only_the_staging_ref_is_fetched(library):
    scm = xml_of(library, UNIT).find("scm")
    assert scm is not None
    assert scm.get("class") == "hudson.plugins.git.GitSCM"
    remote = scm.find("userRemoteConfigs/hudson.plugins.git.UserRemoteConfig")
    assert remote is not None
    assert (remote.findtext("url"), remote.findtext("refspec")) == ("$TORII_URL", "$TORII_REF")
    assert scm.findtext("branches/hudson.plugins.git.BranchSpec/name") == "$TORII_COMMIT"
    assert scm.findtext("extensions/hudson.plugins.git.extensions.impl.CloneOption/honorRefspec") == "true"
    assert scm.findtext("extensions/hudson.plugins.git.extensions.impl.CloneOption/noTags") == "true"


def test_reports_artifacts_timeout_and_log_rotation_are_told_to_jenkins(library):
    root = xml_of(library, UNIT)
    assert root.findtext("publishers/hudson.tasks.junit.JUnitResultArchiver/testResults") == "report.xml,more/*.xml"
    assert root.findtext("publishers/hudson.tasks.ArtifactArchiver/artifacts") == "dist/*,coverage.xml,comments.json"
    assert root.findtext("publishers/hudson.tasks.ArtifactArchiver/allowEmptyArchive") == "true"
    timeout = root.find("buildWrappers/hudson.plugins.build__timeout.BuildTimeoutWrapper")
    assert timeout is not None
    assert timeout.findtext("strategy/timeoutMinutes") == "2"
    assert root.findtext("properties/jenkins.model.BuildDiscarderProperty/strategy/daysToKeep") == "30"


def test_a_job_without_reports_has_no_publishers(library):
    publishers = xml_of(library, JobDefinition("plain", "true")).find("publishers")
    assert publishers is None or len(publishers) == 0


def test_a_job_says_whose_it_is_and_links_to_torii_with_everything_escaped(library):
    description = xml_of(library, dataclasses.replace(UNIT, name="<b>")).findtext("description", "")
    assert OWNERSHIP_MARK in description
    assert "Job &lt;b&gt; of tools/app" in description
    assert 'href="https://ci.example.com/?a=1&amp;b=2"' in description


def test_many_jobs_come_back_in_order_and_the_second_time_from_memory(library):
    sources = [source(UNIT, f"branch{number}") for number in range(5)]
    first = library.render(sources)
    assert [made.name.split("--")[1] for made in first] == [f"branch{number}" for number in range(5)]
    assert all(one is two for one, two in zip(first, library.render(sources), strict=True))


def test_no_more_of_them_is_kept_than_there_is_room_for():
    sources = [JobSource(ProjectName("app"), "main", JobDefinition(f"job{number}", "x" * 10_000)) for number in range(20)]
    library = JobLibrary(most=100_000)
    made = library.render(sources[:4])
    for source in sources[4:]:
        library.render([source])
        assert library.render([sources[0]])[0] is made[0]  # what is asked for stays
    again = library.render(sources[:4])
    assert again == made
    assert all(anew is not before for anew, before in zip(again[1:], made[1:], strict=True))


def test_two_definitions_of_one_job_can_be_rendered_together(library):
    one, two = library.render([source(UNIT), source(dataclasses.replace(UNIT, run="make other\n"))])
    assert one.name == two.name
    assert one.xml != two.xml


def test_what_a_change_alters_is_named_by_its_content(library):
    synced, changed = library.rendered(request(UNIT, True)), library.rendered(request(UNIT, False))
    assert changed.xml == synced.xml
    assert changed.name == changed_job_name(synced.name, synced.xml)
    assert changed.label == "linux"


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (dataclasses.replace(UNIT, run="echo \x00"), "U+0000"),
        (dataclasses.replace(UNIT, run="echo \x1b[0m"), "U+001B"),
        (dataclasses.replace(UNIT, variables=(("A", "\ud800"),)), "U+D800"),
        (dataclasses.replace(UNIT, variables=(("TORII_IMAGE", "evil"),)), "TORII_IMAGE"),
        (dataclasses.replace(UNIT, variables=(("A B", "x"),)), "A B"),
        (dataclasses.replace(UNIT, image="--privileged"), "--privileged"),
        (dataclasses.replace(UNIT, label="$(id)"), "$(id)"),
    ],
)
def test_what_jenkins_cannot_hold_is_refused_with_the_job_and_the_reason(library, job, said):
    with pytest.raises(JobError, match="tools/app, branch main, job unit") as caught:
        library.render([source(job)])
    assert said in str(caught.value)


def library_with(folder: Path, template: str) -> JobLibrary:
    (folder / "job-templates").mkdir()
    (folder / "job-templates" / "job.yaml.j2").write_text(template)
    return JobLibrary(files=own_files().replaced_by(folder, "ci-config"))


def test_a_template_of_the_team_takes_the_place_of_toriis_own(tmp_path: Path):
    team = library_with(
        tmp_path,
        "- job:\n    name: {{ name }}\n    defaults: torii\n    description: ours\n"
        "    wrappers: [torii-timestamps]\n    builders: [{shell: {{ job.run }}}]\n",
    )
    root = xml_of(team, UNIT)
    assert root.findtext("builders/hudson.tasks.Shell/command") == "make check\n"
    assert root.find("buildWrappers/hudson.plugins.timestamper.TimestamperBuildWrapper") is not None


@pytest.mark.parametrize(
    "template",
    ["- job: {{ nothing }}\n", "{% if %}", "- job:\n    name: {{ name }}\n    builders: [no-such-macro]\n", "just text", "- job: 5\n"],
)
def test_a_wrong_template_is_an_operators_error(tmp_path: Path, template: str):
    with pytest.raises(TemplateProblem):
        library_with(tmp_path, template).render([source(UNIT)])
