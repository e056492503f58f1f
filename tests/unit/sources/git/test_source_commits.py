from __future__ import annotations

from torii.model.ids import ProjectName, Sha
from torii.sources.git.commits import MOST_COMMITS, Commit, commit_of, survey

APP = ProjectName("app")


def chain(*names: str) -> dict[Sha, Commit]:
    """Commits, each on the one before; the first on a branch that has all below."""
    return {Sha(name): Commit(Sha(name), (Sha(before),), f"title of {name}") for before, name in zip(("base", *names), names, strict=False)}


def test_a_change_says_its_title_and_author():
    commit = commit_of(Sha("a"), (), "Dev <dev@example.com>", "\n  Fix login  \n\nBody\n")
    assert (commit.title, commit.owner) == ("Fix login", "Dev <dev@example.com>")


def test_a_hostile_message_is_made_fit_to_be_shown():
    commit = commit_of(Sha("a"), (), "Dev\x1b[31m <dev@example.com>", "Fix\x07 \u202ethis" + "x" * 500)
    assert commit.title.isprintable()
    assert commit.owner.isprintable()
    assert len(commit.title) <= 200


def test_footers_name_what_a_change_depends_on():
    message = "Use the new call\n\nDepends-On: lib:main/call\ndepends-on:  lib:stable/1.2/x \nDepends-On: nonsense\nSee Depends-On: a:b/c\n"
    assert commit_of(Sha("a"), (), "", message).wants == ("lib:main/call", "lib:stable/1.2/x")


def test_a_change_stands_on_the_nearest_changes_below_it():
    found = survey(APP, chain("1", "2", "3", "4"), {"main/a": Sha("1"), "main/b": Sha("3"), "main/c": Sha("4")})
    assert found["main/a"].below == ()
    assert found["main/b"].below == ("app:main/a",)
    assert found["main/c"].below == ("app:main/b",)


def test_two_changes_at_one_commit_do_not_stand_on_each_other():
    found = survey(APP, chain("1"), {"main/a": Sha("1"), "main/b": Sha("1")})
    assert found["main/a"].below == found["main/b"].below == ()


def test_a_merge_stands_on_the_changes_on_both_sides():
    commits = chain("1") | {Sha("2"): Commit(Sha("2"), (Sha("base"),)), Sha("m"): Commit(Sha("m"), (Sha("1"), Sha("2")))}
    found = survey(APP, commits, {"main/a": Sha("1"), "main/b": Sha("2"), "main/m": Sha("m")})
    assert found["main/m"].below == ("app:main/a", "app:main/b")


def test_footers_of_all_the_changes_own_commits_count_and_no_others():
    commits = chain("1", "2", "3")
    for sha in ("1", "2", "3"):
        commits[Sha(sha)] = commit_of(Sha(sha), commits[Sha(sha)].parents, "", f"t\n\nDepends-On: lib:main/{sha}")
    found = survey(APP, commits, {"main/a": Sha("1"), "main/b": Sha("3")})
    assert found["main/b"].wants == ("lib:main/3", "lib:main/2")


def test_a_change_in_its_branch_already_says_nothing():
    assert survey(APP, {}, {"main/a": Sha("1")}) == {}


def test_a_change_made_of_a_whole_other_history_is_not_walked_to_its_end():
    names = [str(number) for number in range(MOST_COMMITS + 5)]
    assert "more than" in survey(APP, chain(*names), {"main/a": Sha(names[-1])})["main/a"].problem
