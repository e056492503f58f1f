"""Where inline comments go: in files of the change, within them, and no more than anybody reads."""

from __future__ import annotations

from typing import Any

from torii.model.build import BuildSummary, FileComment, Result
from torii.model.change import Change
from torii.model.command import Report, Verdict
from torii.model.ids import BuildId, ChangeId, ItemId, PipelineName, ProjectName, Sha
from torii.model.job import ConfigProblem
from torii.sources.gerrit.comments import MOST, Lines, Remark, inline, listed, measurable, remarks_of, split
from torii.sources.gerrit.review import Inline

CHANGE = Change(ChangeId("lab:7"), ProjectName("app"), "main", "2", Sha("a" * 40), "refs/changes/07/7/2")
FILES: dict[str, Any] = {"/COMMIT_MSG": {"status": "A"}, "a.py": {"size": 30}, "gone.py": {"status": "D"}, "b.bin": {"binary": True}}


def build(job: str, *comments: FileComment, voting: bool = True) -> BuildSummary:
    return BuildSummary(BuildId(job), job, Result.FAILURE, voting=voting, comments=comments)


def report(*builds: BuildSummary, problems: tuple[ConfigProblem, ...] = ()) -> Report:
    return Report("k", ItemId("i"), PipelineName("check"), CHANGE, Verdict.FAILURE, "failed", builds, problems)


def test_mistakes_come_first_then_voting_builds_each_thing_once() -> None:
    said = FileComment("./a.py", "odd", 1)
    asked = report(
        build("extra", said, voting=False), build("lint", said, said), problems=(ConfigProblem("torii.yml", 2, 3, "jobs", "no"),)
    )
    assert [(each.path, each.text, each.line) for each in remarks_of(asked)] == [
        ("torii.yml", "jobs: no", 2),
        ("a.py", "lint: odd", 1),
        ("a.py", "extra: odd", 1),
    ]


def test_only_files_that_the_change_has_take_comments() -> None:
    remarks = [Remark(path, "x", 1) for path in ("a.py", "gone.py", "other.py", "/COMMIT_MSG", "/PATCHSET_LEVEL")]
    placed, left = split(remarks, FILES)
    assert [each.path for each in placed] == ["a.py", "/COMMIT_MSG"]
    assert [each.path for each in left] == ["gone.py", "other.py", "/PATCHSET_LEVEL"]


def test_no_more_than_the_most_are_placed_and_the_rest_is_counted() -> None:
    placed, left = split([Remark("a.py", f"{n}", n) for n in range(200)], FILES)
    assert len(placed) == MOST
    [words] = listed(left)
    assert words.count("\n") < 30
    assert words.endswith(f"* and {200 - MOST - 20} more")


def test_what_the_message_says_anyway_is_not_listed_again() -> None:
    assert listed([Remark("torii.yml", "x", 1, told=True)]) == ()
    assert listed([]) == ()
    assert len(listed([Remark("a.py", "y" * 4000, 1)])[0]) < 400


def test_only_text_files_of_a_sane_size_are_measured() -> None:
    files = {**FILES, "huge": {"size": 10_000_000}, "c.py": {"size": 1}}
    remarks = [Remark("a.py", "x", 1), Remark("b.bin", "x", 1), Remark("huge", "x", 1), Remark("c.py", "x")]
    assert measurable(remarks, files, 1_000_000) == ("a.py",)


def test_a_comment_stays_within_its_file() -> None:
    lines = Lines.of("one\ntwo 🎉\nthree\n".encode())
    assert lines.lengths == (3, 6, 5)
    assert inline(Remark("a", "x", 2), lines) == Inline("a", "x", 2)
    assert inline(Remark("a", "x", 1, 2), lines) == Inline("a", "x", 1, (2, 6))
    assert inline(Remark("a", "x", 2, 900), lines) == Inline("a", "x", 2, (3, 5))
    assert inline(Remark("a", "x", 3, 900), lines) == Inline("a", "x", 3)
    assert inline(Remark("a", "x", 3, 1), lines) == Inline("a", "x", 3)
    assert inline(Remark("a", "x", 4), lines) == Inline("a", "Line 4: x")
    assert inline(Remark("a", "x", 0), lines) == Inline("a", "Line 0: x")
    assert inline(Remark("a", "x"), lines) == Inline("a", "x")
    assert inline(Remark("a", "x", 1, 2), None) == Inline("a", "x", 1)
    assert inline(Remark("a", "x", 1), Lines.of(b"")) == Inline("a", "Line 1: x")


def test_what_a_build_wrote_is_cleaned_and_cut() -> None:
    [remark] = remarks_of(report(build("lint", FileComment("a.py", "\x1b[31mred\x00" + "x" * 10_000, 1))))
    assert "\x1b" not in remark.text
    assert "\x00" not in remark.text
    assert len(remark.text) <= 4_000
