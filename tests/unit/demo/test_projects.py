"""What the demo's repositories hold."""

from __future__ import annotations

import pytest

from torii.config.project import parse_torii_yml
from torii.demo.plain import plain_id
from torii.demo.projects import CHECK_SPELLING, CLEAR_NAMES, EDITS, PRINT_RECEIPT, REPOSITORIES, SELL_JUICE, SELL_TEA
from torii.model.ids import PipelineName
from torii.model.job import ProjectConfig


def parsed(text: str) -> ProjectConfig:
    config = parse_torii_yml(text.encode())
    assert isinstance(config, ProjectConfig), config
    return config


@pytest.mark.parametrize("project", REPOSITORIES)
def test_each_repository_has_a_torii_yml_that_is_right(project):
    config = parsed(REPOSITORIES[project]["torii.yml"])
    assert all(config.jobs_of(PipelineName(name)) for name in ("check", "gate", "post"))


def test_the_edit_of_torii_yml_is_right_and_adds_one_job_to_check_and_gate():
    before, after = parsed(REPOSITORIES["library"]["torii.yml"]), parsed(CHECK_SPELLING.files["torii.yml"])
    assert {job.name for job in after.jobs} - {job.name for job in before.jobs} == {"spelling"}
    for pipeline in ("check", "gate"):
        assert [job.name for job in after.jobs_of(PipelineName(pipeline)) or ()] == ["unit", "spelling"]


def test_one_push_brings_the_three_in_the_order_of_the_story():
    three = [plain_id(edit) for edit in (CLEAR_NAMES, PRINT_RECEIPT, SELL_JUICE)]
    assert sorted(three) == three


def test_each_edit_stands_on_the_first_commit_or_on_an_edit_before_it():
    made = {"first"}
    for edit in EDITS:
        assert edit.base in made
        made.add(edit.name)


def test_the_three_do_not_clash_in_text():
    changed = [set(edit.files) for edit in (CLEAR_NAMES, PRINT_RECEIPT, SELL_JUICE)]
    assert not changed[0] & changed[1] and not changed[1] & changed[2] and not changed[0] & changed[2]


def test_the_change_that_touches_no_program_needs_no_acceptance():
    assert not any(name.endswith(".sh") and "/" not in name for name in (*SELL_TEA.files, *SELL_JUICE.files))
