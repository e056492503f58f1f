"""Changes that stand on one another are merged by one push; where anything is in the way, each ends as it would have alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.git_lab import GitLab
from tests.support.git_servers import git, refuse_pushes, serving, set_hook
from torii.model.command import Submit
from torii.model.event import Merged, Moved, Refused, SubmitDone, SubmitUnavailable
from torii.model.pipeline import Cause
from torii.sources.git.run import runs


@pytest.fixture(params=["file", "http"])
def lab(request, tmp_path):
    with serving(request.param, tmp_path) as server:
        lab = GitLab(server, tmp_path)
        yield lab
        lab.close()


def line(lab: GitLab, *names: str) -> list[Submit]:
    """Approve changes and stage each on the one before, on another machine than the source's; return what the gate would ask for."""
    for name in names:
        lab.push_change(name)
        lab.approve(name)
    lab.start()
    submits: list[Submit] = []
    for name in names:
        change = lab.wait_for(name, Cause.APPROVED)
        submits.append(lab.staged(change, onto=submits[-1].commit if submits else None, build_set=f"lab-{name}.1"))
    return submits


def carry_out(lab: GitLab, submits: list[Submit]) -> list[object]:
    """Have the source carry out `submits` as they come when it is busy, and return their outcomes."""
    before = len(lab.box.events)
    lab.source._carry_out(lab.project, submits)
    answers = {event.build_set: event.outcome for event in lab.box.events[before:] if isinstance(event, SubmitDone)}
    return [answers[submit.build_set] for submit in submits]


def count_pushes(lab: GitLab) -> None:
    set_hook(lab.repository(), "post-receive", f"echo push >>{lab.folder}/pushes")


def test_a_run_is_merged_by_one_push_and_each_change_is_told_so(lab):
    submits = line(lab, "a", "b", "c")
    count_pushes(lab)
    assert carry_out(lab, submits) == [Merged(submit.commit, submit.tree) for submit in submits]
    assert (lab.folder / "pushes").read_text().count("push") == 1
    assert lab.branch() == submits[-1].commit
    for name in "abc":
        assert lab.wait_for(name, Cause.MERGED)
        assert Cause.ABANDONED not in lab.causes(name)
    assert not [ref for ref in lab.refs() if ref.startswith(("refs/heads/review/", "refs/heads/gate/"))]


def test_a_change_that_is_no_longer_approved_ends_the_run(lab):
    submits = line(lab, "a", "b", "c", "d")
    lab.unapprove("c")
    first, second, third, fourth = carry_out(lab, submits)
    assert (first, second) == (Merged(submits[0].commit, submits[0].tree), Merged(submits[1].commit, submits[1].tree))
    assert isinstance(third, Refused)
    assert fourth == Moved(submits[1].commit)
    assert lab.branch() == submits[1].commit


def test_nothing_of_a_run_is_merged_onto_a_branch_that_moved(lab):
    submits = line(lab, "a", "b")
    tip = lab.push_branch()
    assert carry_out(lab, submits) == [Moved(tip), Moved(tip)]
    assert lab.branch() == tip


def test_a_commit_with_another_tree_than_was_tested_ends_the_run(lab):
    first, second = line(lab, "a", "b")
    outcomes = carry_out(lab, [first, replace(second, tree=first.tree)])
    assert outcomes[0] == Merged(first.commit, first.tree)
    assert isinstance(outcomes[1], Refused)
    assert lab.branch() == first.commit


def test_a_server_without_atomic_pushes_takes_them_one_by_one(lab):
    submits = line(lab, "a", "b", "c")
    git("config", "receive.advertiseAtomic", "false", cwd=lab.repository())
    assert carry_out(lab, submits) == [Merged(submit.commit, submit.tree) for submit in submits]
    assert lab.branch() == submits[-1].commit


def test_a_server_that_refuses_the_push_refuses_the_first_and_what_stands_on_it_is_tested_again(lab):
    submits = line(lab, "a", "b")
    refuse_pushes(lab.repository(), "closed for the weekend")
    first, second = carry_out(lab, submits)
    assert isinstance(first, Refused)
    assert "closed for the weekend" in first.reason
    assert second == Moved(lab.base)
    assert lab.branch() == lab.base


def test_a_run_that_landed_unheard_is_found_to_have_landed(lab):
    submits = line(lab, "a", "b", "c")
    carry_out(lab, submits)
    lab.restart()
    again = carry_out(lab, submits)
    assert again == [Merged(submits[-1].commit, submits[-1].tree)] * 3
    assert lab.branch() == submits[-1].commit


def test_in_an_outage_only_the_first_of_a_run_is_tried(lab):
    submits = line(lab, "a", "b", "c")
    lab.outage()
    outcomes = carry_out(lab, submits)
    assert all(isinstance(outcome, SubmitUnavailable) for outcome in outcomes)
    assert "the change ahead" in outcomes[2].reason
    lab.back()
    assert carry_out(lab, submits) == [Merged(submit.commit, submit.tree) for submit in submits]


def test_submits_that_do_not_stand_on_one_another_are_no_run(lab):
    submits = line(lab, "a", "b")
    alone = lab.staged(lab.wait_for("b", Cause.APPROVED), build_set="lab-b.2")
    assert list(runs([])) == []
    assert list(runs([*submits, alone])) == [submits, [alone]]
