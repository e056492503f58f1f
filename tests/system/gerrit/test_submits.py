"""Submits on a real Gerrit: what lands is what was tested, for each of its submit types, or it is said what landed instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.gerrit import project_name, setup
from tests.support.gerrit_desk import Desk, Queue, wire
from torii.model.event import Merged, Moved, Refused, SubmitUnavailable
from torii.model.ids import Sha
from torii.testing.gerrit import GerritSite, LabChange, LabProject

pytestmark = pytest.mark.needs("gerrit")

FORWARD = ["FAST_FORWARD_ONLY", "MERGE_IF_NECESSARY", "REBASE_IF_NECESSARY"]
MERGING = ["MERGE_IF_NECESSARY", "MERGE_ALWAYS", "REBASE_IF_NECESSARY", "REBASE_ALWAYS", "CHERRY_PICK"]
READY = {"Code-Review": 2, "Verified": 1}


@pytest.fixture
def desk(gerrit: GerritSite, tmp_path: Path) -> Desk:
    return Desk(gerrit, tmp_path)


def approved(project: LabProject, name: str, **more: object) -> LabChange:
    change = project.push_change({f"{name}.txt": f"{name}\n"}, f"Add {name}", **more)  # type: ignore[arg-type]
    change.review(labels=READY)
    return change


@pytest.mark.parametrize("submit_type", FORWARD)
def test_a_change_on_the_tip_lands_as_it_is(desk: Desk, gerrit: GerritSite, submit_type: str) -> None:
    project = gerrit.create_project(project_name(), submit_type)
    submit = Queue(desk, project).submit(approved(project, "a"))
    assert submit.commit == submit.change.commit
    assert desk.submitter(project).submit(submit) == Merged(submit.commit, submit.tree)
    assert project.tip() == submit.commit


@pytest.mark.parametrize("submit_type", MERGING)
def test_a_run_of_changes_lands_with_the_trees_that_were_tested(desk: Desk, gerrit: GerritSite, submit_type: str) -> None:
    project = gerrit.create_project(project_name(), submit_type)
    queue = Queue(desk, project)
    submits = [queue.submit(change, keep=False) for change in [approved(project, name) for name in "abc"]]
    outcomes = desk.submitter(project).submit_all(submits)
    assert [outcome.tree for outcome in outcomes if isinstance(outcome, Merged)] == [submit.tree for submit in submits]
    merged = outcomes[-1]
    assert isinstance(merged, Merged)
    assert merged.commit == project.tip()
    assert [project.tree(outcome.commit) for outcome in outcomes if isinstance(outcome, Merged)] == [submit.tree for submit in submits]


@pytest.mark.parametrize("submit_type", MERGING)
def test_what_landed_is_read_without_a_fetch_and_is_the_same_as_with_one(desk: Desk, gerrit: GerritSite, submit_type: str) -> None:
    project = gerrit.create_project(project_name("team/many"), submit_type)
    states, first, read = desk.states(project), Sha(project.tip() or ""), []
    for change in [approved(project, name) for name in "ab"]:
        before = Sha(project.tip() or "")
        change.submit()
        tip = Sha(project.tip() or "")
        read.append(states.made_from(before, tip, [Sha(change.commit)] if tip != change.commit else []))
    assert not desk.mirror(project).exists()
    assert read[::-1] == list(states.fetch("main", first)[:-1])


@pytest.mark.parametrize("submit_type", MERGING)
def test_where_git_is_not_served_beside_rest_what_landed_is_fetched(
    desk: Desk, gerrit: GerritSite, submit_type: str, tmp_path: Path
) -> None:
    project = gerrit.create_project(project_name(), submit_type)
    queue = Queue(desk, project)
    submits = [queue.submit(change, keep=False) for change in [approved(project, name) for name in "ab"]]
    with wire(gerrit, lambda method, path: "refuse" if path.endswith("git-upload-pack") else "answer") as url:
        outcomes = Desk(gerrit, tmp_path / "elsewhere", url).submitter(project).submit_all(submits)
    assert [outcome.tree for outcome in outcomes if isinstance(outcome, Merged)] == [submit.tree for submit in submits]


@pytest.mark.parametrize("submit_type", MERGING)
def test_a_submit_asked_for_again_finds_what_landed_under_what_came_later(desk: Desk, gerrit: GerritSite, submit_type: str) -> None:
    project = gerrit.create_project(project_name(), submit_type)
    queue = Queue(desk, project)
    submits = [queue.submit(change, keep=False) for change in [approved(project, name) for name in "ab"]]
    first = [desk.submitter(project).submit(submit) for submit in submits]
    project.commit_directly({"later": "1\n"})
    again = desk.submitter(project)
    assert [again.submit(submit) for submit in submits] == first
    assert project.log()[0] == "A direct push"


DEEDS: dict[str, tuple[Callable[[LabChange], object], str]] = {
    "amended": (lambda change: change.amend({"more": "1\n"}), "another patch set by now, 2; 1 was tested"),
    "unapproved": (lambda change: change.vote("Code-Review", 0), "no longer approved: Code-Review: needs label:Code-Review=MAX"),
    "work in progress": (lambda change: change.set_wip(), "no longer approved: it is work in progress"),
    "abandoned": (lambda change: change.abandon(), "gone: it was abandoned"),
    "deleted": (lambda change: change.delete(), "gone: it was deleted"),
    "hidden": (lambda change: change.set_private(), "gone: it was deleted, or is hidden"),
    "unverified": (lambda change: change.vote("Verified", 0), "submit requirement 'Verified' is unsatisfied"),
}


def test_each_refusal_says_why(desk: Desk, gerrit_project: LabProject) -> None:
    changes = {name: approved(gerrit_project, name) for name in DEEDS}
    submits = {name: Queue(desk, gerrit_project).submit(change) for name, change in changes.items()}
    tip = gerrit_project.tip()
    for name, (deed, words) in DEEDS.items():
        deed(changes[name])
        outcome = desk.submitter(gerrit_project).submit(submits[name])
        assert isinstance(outcome, Refused), (name, outcome)
        assert words in outcome.reason, name
    assert gerrit_project.tip() == tip


def test_a_closed_branch_and_a_missing_permission_are_refusals_in_words(desk: Desk, gerrit_project: LabProject) -> None:
    submit = Queue(desk, gerrit_project).submit(approved(gerrit_project, "a"))
    gerrit_project.configure(state="READ_ONLY")
    outcome = desk.submitter(gerrit_project).submit(submit)
    assert isinstance(outcome, Refused)
    assert "READ_ONLY" in outcome.reason
    gerrit_project.configure(state="ACTIVE")
    gerrit_project.grant("refs/heads/*", "submit", action="BLOCK")
    outcome = desk.submitter(gerrit_project).submit(submit)
    assert isinstance(outcome, Refused)
    assert "grant it Submit" in outcome.reason


def test_what_gerrit_cannot_merge_is_refused_in_its_words(desk: Desk, gerrit_project: LabProject) -> None:
    base = gerrit_project.tip()
    first = approved(gerrit_project, "a")
    second = gerrit_project.push_change({"a.txt": "other\n"}, "Add a otherwise", on=base)
    second.review(labels=READY)
    queue = Queue(desk, gerrit_project)
    first.submit()
    submit = queue.submit(second)
    outcome = desk.submitter(gerrit_project).submit(submit)
    assert outcome == Moved(gerrit_project.tip())  # type: ignore[arg-type]
    outcome = desk.submitter(gerrit_project).submit(replace(submit, onto=gerrit_project.tip(), onto_tree=None))  # type: ignore[arg-type]
    assert isinstance(outcome, Refused)
    assert "path conflict" in outcome.reason


def test_nothing_is_merged_onto_a_branch_that_moved_but_for_a_tree_that_is_the_same(desk: Desk, gerrit_project: LabProject) -> None:
    submit = Queue(desk, gerrit_project).submit(approved(gerrit_project, "a"), keep=False)
    tip = gerrit_project.commit_directly({"x": "1\n"})
    assert desk.submitter(gerrit_project).submit(submit) == Moved(tip)  # type: ignore[arg-type]
    assert gerrit_project.tip() == tip
    gerrit_project.commit_directly({"x": None}, "Take it back")
    outcome = desk.submitter(gerrit_project).submit(submit)
    assert isinstance(outcome, Merged)
    assert outcome.tree == submit.tree


def test_a_change_merged_by_a_human_meanwhile_is_told_with_what_landed(desk: Desk, gerrit_project: LabProject) -> None:
    change = approved(gerrit_project, "a")
    submit = Queue(desk, gerrit_project).submit(change)
    gerrit_project.commit_directly({"x": "1\n"})
    change.submit()
    outcome = desk.submitter(gerrit_project).submit(submit)
    assert isinstance(outcome, Merged)
    assert outcome.commit == gerrit_project.tip()
    assert outcome.tree == gerrit_project.tree(outcome.commit) != submit.tree


@pytest.mark.parametrize("fate", ["lose", "hide", "refuse"])
def test_a_lost_answer_to_a_submit_is_looked_up(gerrit: GerritSite, gerrit_project: LabProject, tmp_path: Path, fate: str) -> None:
    fates = [fate, "answer"]

    def lose(method: str, path: str) -> str:
        return fates.pop(0) if method == "POST" and path.endswith("/submit") and fates else "answer"

    with wire(gerrit, lose) as url:
        desk = Desk(gerrit, tmp_path, url)
        submit = Queue(desk, gerrit_project).submit(approved(gerrit_project, "a"), keep=False)
        outcome = desk.submitter(gerrit_project).submit(submit)
    assert isinstance(outcome, Merged)
    assert outcome.tree == submit.tree
    assert len(gerrit_project.log()) == 2


def test_a_gerrit_that_is_away_leaves_it_open_and_what_stands_on_it_too(desk: Desk, gerrit: GerritSite, gerrit_project: LabProject) -> None:
    queue = Queue(desk, gerrit_project)
    submits = [queue.submit(approved(gerrit_project, name)) for name in "ab"]
    submitter = desk.submitter(gerrit_project)
    gerrit.stop()
    first, second = submitter.submit_all(submits)
    assert isinstance(first, SubmitUnavailable)
    assert isinstance(second, SubmitUnavailable)
    assert "ahead" in second.reason
    gerrit.start()
    assert all(isinstance(outcome, Merged) for outcome in submitter.submit_all(submits))


def test_what_was_to_follow_a_refused_change_has_moved(desk: Desk, gerrit_project: LabProject) -> None:
    queue = Queue(desk, gerrit_project)
    first, second = (approved(gerrit_project, name) for name in "ab")
    submits = [queue.submit(first), queue.submit(second)]
    first.abandon()
    outcomes = desk.submitter(gerrit_project).submit_all(submits)
    assert isinstance(outcomes[0], Refused)
    assert outcomes[1] == Moved(gerrit_project.tip())  # type: ignore[arg-type]


def test_a_deleted_branch_takes_nothing(desk: Desk, gerrit: GerritSite, gerrit_project: LabProject) -> None:
    gerrit_project.create_branch("side")
    change = approved(gerrit_project, "a", branch="side")
    submit = Queue(desk, gerrit_project, "side").submit(change)
    site = gerrit.folder / "site" / "git" / f"{gerrit_project.name}.git"
    ref = site / "refs" / "heads" / "side"
    ref.unlink()
    outcome = desk.submitter(gerrit_project).submit(submit)
    assert isinstance(outcome, Refused)


@pytest.fixture(scope="module")
def topical(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GerritSite]:
    with GerritSite(tmp_path_factory.mktemp("topical"), setup(change__submitWholeTopic="true")) as site:
        yield site


@pytest.fixture
def whole(topical: GerritSite, tmp_path: Path) -> Desk:
    topical.start()
    return Desk(topical, tmp_path)


def test_a_whole_topic_over_two_projects_is_merged_at_once(whole: Desk, topical: GerritSite) -> None:
    projects = [topical.create_project(project_name()) for _ in range(2)]
    changes = tuple(approved(project, name, options=["topic=both"]) for project, name in zip(projects, "ab", strict=True))
    submits = [Queue(whole, project).submit(change, together=changes) for project, change in zip(projects, changes, strict=True)]
    outcomes = whole.submitter(*projects).submit_all(submits)
    assert outcomes == [Merged(submit.commit, submit.tree) for submit in submits]
    assert [project.tip() for project in projects] == [submit.commit for submit in submits]


def test_a_whole_topic_on_one_branch_lands_with_the_tree_of_all_of_it(whole: Desk, topical: GerritSite) -> None:
    project = topical.create_project(project_name())
    changes = tuple(approved(project, name, options=["topic=one"]) for name in "ab")
    queue = Queue(whole, project)
    submits = [queue.submit(change, together=changes) for change in changes]
    outcomes = whole.submitter(project).submit_all(submits)
    tip = project.tip()
    assert outcomes[1] == Merged(tip, submits[1].tree)  # type: ignore[arg-type]
    assert isinstance(outcomes[0], Merged)
    assert outcomes[0].tree in (submits[0].tree, submits[1].tree)
    assert project.tree(outcomes[0].commit) == outcomes[0].tree


def test_a_topic_asked_for_bit_by_bit_waits_for_all_of_it(whole: Desk, topical: GerritSite) -> None:
    projects = [topical.create_project(project_name()) for _ in range(2)]
    changes = tuple(approved(project, name, options=["topic=bits"]) for project, name in zip(projects, "ab", strict=True))
    first, second = (Queue(whole, project).submit(change, together=changes) for project, change in zip(projects, changes, strict=True))
    submitter = whole.submitter(*projects)
    assert isinstance(submitter.submit(first), SubmitUnavailable)
    assert projects[0].tip() == first.onto
    assert submitter.submit(second) == Merged(second.commit, second.tree)
    assert submitter.submit(first) == Merged(first.commit, first.tree)


def test_what_joined_a_topic_untested_keeps_it_from_being_merged(whole: Desk, topical: GerritSite) -> None:
    project = topical.create_project(project_name())
    submit = Queue(whole, project).submit(approved(project, "a", options=["topic=grown"]))
    late = approved(project, "b", options=["topic=grown"])
    outcome = whole.submitter(project).submit(submit)
    assert isinstance(outcome, Refused)
    assert str(late.number) in outcome.reason
    assert project.tip() == submit.onto


def test_one_of_a_topic_that_is_refused_keeps_back_the_rest(whole: Desk, topical: GerritSite) -> None:
    projects = [topical.create_project(project_name()) for _ in range(2)]
    changes = tuple(approved(project, name, options=["topic=part"]) for project, name in zip(projects, "ab", strict=True))
    submits = [Queue(whole, project).submit(change, together=changes) for project, change in zip(projects, changes, strict=True)]
    changes[1].vote("Code-Review", 0)
    first, second = whole.submitter(*projects).submit_all(submits)
    assert isinstance(first, Refused)
    assert isinstance(second, Refused)
    assert "no longer approved" in first.reason
    assert "no longer approved" in second.reason
    assert projects[0].tip() == submits[0].onto
