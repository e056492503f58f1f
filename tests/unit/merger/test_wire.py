"""Requests and answers on their way over Gearman."""

from __future__ import annotations

import json

import pytest

from torii.gearman import open_sealed, seal
from torii.merger import wire
from torii.merger.answer import ConfigFile, StageAnswer, StagedState
from torii.model.build import StagedBranch
from torii.model.command import Merge, Stage, StageBase, StageChange
from torii.model.event import Conflict, MergeUnavailable
from torii.model.ids import BuildSetId, ChangeId, PipelineName, ProjectName, Sha
from torii.model.pipeline import MergeMode, Precedence

APP = ProjectName("app")
ONE, TWO = Sha("1" * 40), Sha("2" * 40)
CHANGE = StageChange(ChangeId("c1"), APP, "main", "refs/changes/1", ONE, MergeMode.SQUASH)
MERGE = Merge(
    PipelineName("gate"),
    (StageBase(APP, "main", ONE, TWO, (ChangeId("c0"),)),),
    (Stage(BuildSetId("k-1.1"), APP, "main", (CHANGE,)), Stage(BuildSetId("k-2.1"), APP, "ünï", ())),
    Precedence.HIGH,
)
TEXT = b"jobs: {}\n\xff"
STAGED = StagedState(
    (StagedBranch(APP, "main", ONE, TWO, ONE, "refs/staging/gate/k-1.1/main"),), ("a", "ü"), ConfigFile(TEXT), ConfigFile(TEXT)
)
ANSWERS = (
    StageAnswer(BuildSetId("k-1.1"), STAGED),
    StageAnswer(BuildSetId("k-2.1"), Conflict("it clashes", ("a",), ChangeId("c0"))),
    StageAnswer(BuildSetId("k-3.1"), MergeUnavailable("away")),
    StageAnswer(BuildSetId("k-4.1"), StagedState(STAGED.branches, (), ConfigFile(), ConfigFile(problem="too large"))),
)


def test_a_request_comes_back_from_its_envelope() -> None:
    assert wire.read_merge(open_sealed(b"key", seal(b"key", wire.question("merge", MERGE)))) == MERGE


def test_an_answer_comes_back_from_its_envelope() -> None:
    assert wire.read_merge_answer(open_sealed(b"key", seal(b"key", wire.merge_answer(ANSWERS)))) == ANSWERS


def test_a_file_that_many_stages_share_travels_once() -> None:
    many = tuple(StageAnswer(BuildSetId(f"k-{number}.1"), STAGED) for number in range(50))
    assert len(wire.merge_answer(many)["texts"]) == 1


def test_the_same_question_has_the_same_id_and_another_has_another() -> None:
    assert wire.question("merge", MERGE)["id"] == wire.question("merge", MERGE)["id"]
    assert wire.question("merge", MERGE)["id"] != wire.question("merge", Merge(MERGE.pipeline, (), MERGE.stages))["id"]


@pytest.mark.parametrize(
    "damage", [{}, {"merge": None}, {"merge": {"pipeline": "gate"}}, {"merge": {"stages": 5, "base": [], "pipeline": "x"}}]
)
def test_a_request_of_another_torii_is_an_error_that_says_so(damage: dict[str, object]) -> None:
    with pytest.raises(wire.MalformedMessageError, match="same Torii"):
        wire.read_merge(damage)


def test_an_answer_of_another_torii_is_an_error_that_says_so() -> None:
    message = json.loads(json.dumps(wire.merge_answer(ANSWERS)))
    message["answers"][0]["kind"] = "perhaps"
    with pytest.raises(wire.MalformedMessageError):
        wire.read_merge_answer(message)
