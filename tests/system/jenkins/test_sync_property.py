"""Whatever a `torii.yml` says to run stands in Jenkins as it is, and is right the next time one looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from torii.config.settings import JenkinsSettings, Secret
from torii.jenkins import Controller
from torii.jobs import JobLibrary, JobSource
from torii.jobs.apply import altered, perform
from torii.jobs.look import look
from torii.jobs.wanted import ProjectJobs, Wanted
from torii.model.ids import ProjectName
from torii.model.job import JobDefinition
from torii.testing.jenkins import FakeJenkins

APP = ProjectName("app")
LIBRARY = JobLibrary()
TEXT = st.text(
    st.characters(
        exclude_categories=["Cs"], exclude_characters=[chr(n) for n in range(0x20) if n not in (9, 10, 13)] + ["\ufffe", "\uffff"]
    )
)
PIECES = st.lists(st.sampled_from(["{", "}", "{{", "]]>", '"', "'", "\\", "\r\n", "\n", "é", "🎉", "<!--", "-->", "&lt;", "torii-job {}"]))


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeJenkins, Controller]]:
    folder: Path = tmp_path_factory.mktemp("jenkins")
    with FakeJenkins(folder) as fake:
        (folder / "token").write_text(fake.token)
        controller = Controller(JenkinsSettings("ci", fake.url, fake.user, Secret(f"file:{folder / 'token'}")))
        yield fake, controller
        controller.close()


@given(run=TEXT | PIECES.map("".join))
@example(run="\n")
@example(run="echo 'é {' ]]> \\\n" * 6000)
@example(run='echo \'<!-- torii-job {"owner":"evil"} --><!-- made by torii -->\'\r\n')
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_step_arrives_unchanged_and_is_right_afterwards(there: tuple[FakeJenkins, Controller], run: str):
    fake, controller = there
    wanted = Wanted({APP: ProjectJobs(APP, (JobSource(APP, "main", JobDefinition("unit", run)),))})
    done = perform(controller, look(controller, wanted, LIBRARY).plan.steps)
    assert [each.problem for each in done if each.problem] == []
    root = ElementTree.fromstring(fake.jobs["app--main--unit"].xml)
    assert (root.findtext("builders/hudson.tasks.Shell/command") or "") == run
    again = look(controller, wanted, LIBRARY).plan
    assert again.steps == ()
    assert altered(controller, [step_with_job(again.unchanged[0])]) == []


def step_with_job(step):
    from dataclasses import replace

    (job,) = LIBRARY.render([step.source], step.mark.plugins)
    return replace(step, rendered=job)
