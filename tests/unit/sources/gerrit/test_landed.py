"""The states of a branch, and the first of them with a commit in it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from torii.git import Mirror, Remote
from torii.model.ids import Sha
from torii.sources.gerrit.landed import LandedStates


class Repository:
    """A repository with a branch `main`, and the mirror of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "remote.git"
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.path), inside=False)
        self.states = LandedStates(Remote(str(self.path)), Mirror(folder / "mirror.git"))

    def git(self, *arguments: str, given: str = "", inside: bool = True) -> str:
        where = [f"--git-dir={self.path}"] if inside else []
        who = ["-c", "user.name=Dev", "-c", "user.email=dev@example.com"]
        done = subprocess.run(["git", *who, *where, *arguments], input=given, capture_output=True, text=True, check=True, timeout=30)
        return done.stdout.strip()

    def commit(self, content: str, *parents: Sha) -> Sha:
        blob = self.git("hash-object", "-w", "--stdin", given=content)
        tree = self.git("mktree", given=f"100644 blob {blob}\tfile\n")
        options = [word for parent in parents for word in ("-p", parent)]
        return Sha(self.git("commit-tree", *options, "-m", content, tree))

    def land(self, commit: Sha) -> Sha:
        self.git("update-ref", "refs/heads/main", commit)
        return commit

    def tree(self, commit: Sha) -> str:
        return self.git("rev-parse", f"{commit}^{{tree}}")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_states_go_down_to_the_one_that_is_known(repository: Repository) -> None:
    base = repository.land(repository.commit("base"))
    one = repository.commit("one", base)
    merge = repository.land(repository.commit("merge", base, one))
    two = repository.land(repository.commit("two", merge))
    assert [state.commit for state in repository.states.fetch("main", merge)] == [two, merge]
    assert [state.commit for state in repository.states.fetch("main", base)] == [two, merge, base]
    assert [state.commit for state in repository.states.fetch("main", two)] == [two]
    assert [state.commit for state in repository.states.fetch("main", one)] == [two, merge, base]
    states = repository.states.fetch("main")
    assert [state.tree for state in states] == [repository.tree(commit) for commit in (two, merge, base)]


def test_a_branch_that_is_gone_has_no_states(repository: Repository) -> None:
    repository.land(repository.commit("base"))
    assert repository.states.fetch("other") == ()


def test_the_first_state_with_a_commit_is_found_whatever_came_later(repository: Repository) -> None:
    tip = base = repository.commit("base")
    side = repository.commit("side", base)
    landed: dict[Sha, Sha] = {}
    for number in range(10):
        tip = repository.commit(f"{number}", tip, *([side] if number == 3 else []))
        landed[tip] = tip
        if number == 3:
            landed[side] = tip
    repository.land(tip)
    states = repository.states.fetch("main")
    for commit, first in landed.items():
        found = repository.states.first_with(commit, states)
        assert found is not None
        assert found.commit == first
    assert repository.states.first_with(repository.commit("elsewhere"), states) is None


def test_the_tree_of_a_tip_is_fetched_where_it_is_not_here(repository: Repository) -> None:
    base = repository.land(repository.commit("base"))
    assert repository.states.tree_here(base) is None
    assert repository.states.tree("main", base) == repository.tree(base)
    assert repository.states.tree_here(base) == repository.tree(base)
    assert repository.states.tree("main", Sha("1" * 40)) is None
