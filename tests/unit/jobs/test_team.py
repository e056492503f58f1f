"""The templates and macros of a config project."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.jobs_lab import JobsLab
from torii.jobs import JobSource
from torii.jobs.definition import TemplateProblem
from torii.jobs.plugins import OPTIONAL
from torii.jobs.team import ConfigProjectError, last_good, open_library, refresh
from torii.jobs.trace import trace
from torii.model.ids import ProjectName
from torii.model.job import JobDefinition

SOURCE = JobSource(ProjectName("app"), "main", JobDefinition("unit", "make"))
DEFAULTS = "- defaults:\n    name: torii\n    project-type: freestyle\n    concurrent: true\n    scm: [torii-staging-shallow]\n"


@pytest.fixture
def lab(tmp_path: Path) -> JobsLab:
    lab = JobsLab(tmp_path, {}, config_project="ci-config")
    lab.add("ci-config")
    return lab


def shallow(library) -> str | None:
    (job,) = library.render([SOURCE])
    return ElementTree.fromstring(job.xml).findtext("scm/extensions/hudson.plugins.git.extensions.impl.CloneOption/shallow")


def test_a_file_of_the_config_project_takes_the_place_of_the_one_of_its_name(lab):
    commit = lab.push("ci-config", "main", {"jjb/defaults.yaml": DEFAULTS, "README": "more files"})
    library = open_library(lab.config)
    assert shallow(library) == "false"
    found = refresh(lab.config, library)
    assert found.origin == f"ci-config, branch main, commit {commit[:10]}"
    assert shallow(library) == "true"
    assert set(library.files.templates) == {"job.yaml.j2", "container.sh.j2", "limited.sh.j2"}


def test_the_next_start_begins_with_what_was_good_last_time(lab):
    lab.push("ci-config", "main", {"jjb/defaults.yaml": DEFAULTS})
    refresh(lab.config, open_library(lab.config))
    lab.repository("ci-config").rename(lab.folder / "elsewhere")
    assert shallow(open_library(lab.config)) == "true"
    with pytest.raises(ConfigProjectError, match="the config project ci-config cannot be fetched: "):
        refresh(lab.config, open_library(lab.config))


def test_a_macro_of_ones_own_can_be_added_and_used(lab):
    macros = "- wrapper:\n    name: ours\n    wrappers: [{timeout: {type: absolute, timeout: 5}}]\n"
    template = "- job:\n    name: {{ name }}\n    defaults: torii\n    description: ours\n    wrappers: [ours]\n"
    lab.push("ci-config", "main", {"jjb/ours.yaml": macros, "job-templates/job.yaml.j2": template})
    library = open_library(lab.config)
    refresh(lab.config, library)
    (job,) = library.render([SOURCE])
    assert b"<timeoutMinutes>5</timeoutMinutes>" in job.xml
    given = {each.what: str(each) for each in trace(library, SOURCE, OPTIONAL)}
    assert "ci-config, branch main, commit " in given["wrapper ours"]
    assert "jjb/ours.yaml:1 (" in given["wrapper ours"]
    assert given["scm torii-staging"].endswith("jjb/macros.yaml:4 (Torii's own)")
    assert "ci-config" in given["template job.yaml.j2"]


@pytest.mark.parametrize(
    ("file", "text", "where"),
    [
        ("job-templates/job.yaml.j2", "- job:\n    name: {{ name }}\n    description: {{ nothing }}\n", "job-templates/job.yaml.j2:3: "),
        ("job-templates/job.yaml.j2", "- job:\n    name: {% if %}\n", "job-templates/job.yaml.j2:2: "),
        ("job-templates/container.sh.j2", "#!/bin/sh\n{{ job.nothing }}\n", "job-templates/container.sh.j2:2: "),
        ("job-templates/limited.sh.j2", "{{ 1 / 0 }}", "job-templates/limited.sh.j2:1: "),
        ("job-templates/job.yaml.j2", "- job:\n    name: ours\n    builders: [{shell: {{ job.run }}}]\n", "called {{ name }}"),
        ("jjb/macros.yaml", "- wrapper:\n    name: torii-timeout\n  bad: [\n", "jjb/macros.yaml"),
        ("jjb/defaults.yaml", "- defaults:\n    name: torii\n    wrappers:\n      - no-such-wrapper\n", "jjb/defaults.yaml:4 (ci-config, "),
        ("jjb/defaults.yaml", DEFAULTS.replace("[torii-staging-shallow]", "[{git: {refspec: x}}]"), "jjb/defaults.yaml (ci-config, "),
        ("jjb/ours.yaml", "- builder:\n    name: x\n    builders: [shell: !include-raw: /etc/passwd]\n", "jjb/ours.yaml"),
        ("jjb/ours.yaml", "just text\n", "jjb/ours.yaml"),
        ("jjb/ours.yaml", "[" * 5000, "jjb/ours.yaml"),
        ("jjb/defaults.yaml", DEFAULTS.replace("torii-staging-shallow", "a") + "- scm: {name: a, scm: [a]}\n", "comes to no end"),
        ("jjb/defaults.yaml", "- defaults:\n    name: torii\n    scm: [{}]\n", "fails on it"),
        ("job-templates/job.yaml.j2", "- job:\n    name: {{ ''.__class__.__mro__ }}\n", "job-templates/job.yaml.j2:2: "),
    ],
)
def test_a_wrong_file_is_named_with_its_line_and_what_was_before_stays(lab, file, text, where):
    lab.push("ci-config", "main", {"jjb/defaults.yaml": DEFAULTS})
    library = open_library(lab.config)
    before = refresh(lab.config, library)
    lab.push("ci-config", "main", {file: text})
    with pytest.raises(TemplateProblem) as caught:
        refresh(lab.config, library)
    assert where in str(caught.value)
    assert shallow(library) == "true"
    assert last_good(lab.config).origin == before.origin


def test_a_macro_that_nobody_has_is_named_with_each_line_that_uses_it_and_no_full_stop(lab):
    macros = "- scm:\n    name: ours\n    scm:\n      - team-staging\n"
    text = DEFAULTS.replace("torii-staging-shallow", "team-staging")
    commit = lab.push("ci-config", "main", {"jjb/defaults.yaml": text, "jjb/ours.yaml": macros})
    with pytest.raises(TemplateProblem) as caught:
        refresh(lab.config, open_library(lab.config))
    where = [f"jjb/{place} (ci-config, branch main, commit {commit[:10]})" for place in ("defaults.yaml:5", "ours.yaml:4")]
    assert "for component type: 'scm'; see /" in str(caught.value)
    assert all(place in str(caught.value) for place in where)


def test_no_file_has_python_run_on_toriis_machine(lab, tmp_path: Path):
    touched = tmp_path / "touched"
    text = f"- wrapper:\n    name: a\n    wrappers: [!!python/object/apply:os.mkdir ['{touched}']]\n"
    lab.push("ci-config", "main", {"jjb/ours.yaml": text})
    with pytest.raises(TemplateProblem, match=r"jjb/ours\.yaml"):
        refresh(lab.config, open_library(lab.config))
    assert not touched.exists()


def test_files_that_were_replaced_go_after_a_day(lab):
    library = open_library(lab.config)
    commits = []
    for text in ("one", "two", "three"):
        commits.append(lab.push("ci-config", "main", {"jjb/defaults.yaml": DEFAULTS + f"# {text}\n"}))
        refresh(lab.config, library)
        old = lab.folder / "state" / "config-project" / commits[0]
        if len(commits) == 2:
            assert old.is_dir()
            os.utime(old, (0, 0))
    assert {path.name for path in old.parent.iterdir()} == {"current", *commits[1:]}


def test_links_and_other_files_are_left_out(lab):
    lab.push(
        "ci-config",
        "main",
        {"jjb/README.md": "x", "jjb/jenkins_jobs.ini": "[jenkins]\nurl=http://evil.example.com\n", "jjb/deep/a.yaml": "x"},
    )
    library = open_library(lab.config)
    before = library.files.digest
    refresh(lab.config, library)
    assert library.files.digest == before


def test_a_config_project_that_is_no_project_or_has_no_such_branch_is_said(lab):
    with pytest.raises(ConfigProjectError, match=r"the config project ci-config cannot be fetched: .*refs/heads/main"):
        refresh(lab.config, open_library(lab.config))


def test_without_a_config_project_all_is_toriis_own(tmp_path: Path):
    lab = JobsLab(tmp_path, {})
    assert refresh(lab.config, open_library(lab.config)).origin == ""


def test_the_head_of_the_repository_is_taken_where_no_branch_is_named(lab):
    from dataclasses import replace

    from torii.config.settings import ConfigProject

    config = replace(lab.config, config_project=ConfigProject(ProjectName("ci-config")))
    lab.push("ci-config", "main", {"jjb/defaults.yaml": DEFAULTS})
    assert "branch main" in refresh(config, open_library(config)).origin
    (lab.repository("ci-config") / "HEAD").write_text("ref: refs/heads/nothing\n")
    with pytest.raises(ConfigProjectError, match="say which with `branch:`, or push one"):
        refresh(config, open_library(config))
