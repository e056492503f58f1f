from __future__ import annotations

import pytest

from torii.git import check_ref
from torii.model.ids import Sha
from torii.sources.git.refs import ChangeRefs, parse_ls_remote, sort_refs, why_unsafe

A, B, C = (Sha(digit * 40) for digit in "abc")


def layout(**heads: str):
    return sort_refs({f"refs/heads/{name}": sha for name, sha in heads.items()})


def heads(*names: str):
    return sort_refs({f"refs/heads/{name}": A for name in names})


def test_a_review_branch_is_a_change_on_the_branch_it_names():
    found = heads("main", "review/main/fix")
    assert dict(found.branches) == {"main": A}
    assert found.changes["main/fix"] == ChangeRefs("main/fix", "main", review=A)


def test_the_longest_existing_branch_is_the_one_that_is_meant():
    found = heads("stable", "stable/1.2", "review/stable/1.2/fix", "review/stable/1.3/fix")
    assert found.changes["stable/1.2/fix"].branch == "stable/1.2"
    assert found.changes["stable/1.3/fix"].branch == "stable"


def test_the_name_of_a_change_may_hold_slashes():
    assert heads("main", "review/main/dev/login/fix").changes["main/dev/login/fix"].branch == "main"


def test_a_review_branch_of_no_branch_is_left_alone_and_said_so():
    found = heads("main", "review/other/fix", "review/fix", "review/main")
    assert not found.changes
    assert [each.ref for each in found.ignored] == ["refs/heads/review/fix", "refs/heads/review/main", "refs/heads/review/other/fix"]
    assert "push to review/<branch>/<name>" in found.ignored[0].reason


def test_a_gate_branch_at_the_same_commit_approves():
    refs = sort_refs({"refs/heads/main": A, "refs/heads/review/main/x": B, "refs/heads/gate/main/x": B}).changes["main/x"]
    assert refs.approved
    assert refs.blockers == ()
    assert refs.ref == "refs/heads/review/main/x"


def test_a_gate_branch_at_another_commit_does_not_approve_and_blocks():
    refs = sort_refs({"refs/heads/main": A, "refs/heads/review/main/x": B, "refs/heads/gate/main/x": C}).changes["main/x"]
    assert not refs.approved
    assert refs.patchset == B
    assert refs.blockers == (f"gate/main/x approves {C[:10]}, but the change is at {B[:10]}",)


def test_a_gate_branch_alone_is_an_approved_change():
    refs = sort_refs({"refs/heads/main": A, "refs/heads/gate/main/x": B}).changes["main/x"]
    assert refs.approved
    assert (refs.patchset, refs.ref) == (B, "refs/heads/gate/main/x")


def test_other_refs_than_branches_do_not_count():
    assert sort_refs({"refs/tags/review/main/x": A, "refs/notes/torii": A}) == sort_refs({})


UNSAFE = [
    *("a;reboot", 'a"b', "a'b", "a`b`", "a$HOME", "a&b", "a|b", "a<b", "-rf", "x/-rf", "a!b", "a%0a", "a{b}", "a\u202eb", "a\u00a0b"),
    *("x" * 300, "a\udcffb", "a b", "a\nb", "a..b", "a/../b", "@", ".a", "a.lock", "a//b", "a\tb"),
]


@pytest.mark.parametrize("name", UNSAFE)
def test_a_name_that_is_not_safe_everywhere_is_left_alone_and_said_so(name):
    found = sort_refs({"refs/heads/main": A, f"refs/heads/review/main/{name}": B, f"refs/heads/{name}": B})
    assert set(found.branches) == {"main"}
    assert not found.changes
    assert len(found.ignored) == 2
    for each in found.ignored:
        assert each.reason
        assert each.ref.isprintable()
        assert len(each.ref) <= 200
        each.ref.encode()


@pytest.mark.parametrize("name", ["main", "stable/1.2", "dev@example.com/fix", "fix-#12", "größe", "功能/x", "a+b=c,d", "_x", "1"])
def test_names_that_people_use_are_safe(name):
    assert why_unsafe(f"refs/heads/{name}") == ""
    assert check_ref(f"refs/heads/{name}")


def test_a_branch_without_a_commit_is_left_alone():
    found = sort_refs({"refs/heads/main": "0" * 40, "refs/heads/other": "nonsense"})
    assert not found.branches
    assert [each.reason for each in found.ignored] == ["the server gave no commit for it"] * 2


def test_what_ls_remote_prints_is_read_whatever_it_holds():
    output = b"%b\trefs/heads/main\n%b\trefs/heads/\xff\xfe\nnonsense\n\n\t\n%b\trefs/heads/a\tb\n" % ((A.encode(),) * 3)
    refs = parse_ls_remote(output)
    assert refs["refs/heads/main"] == A
    assert [each.reason for each in sort_refs(refs).ignored] == [
        "its name holds characters other than letters, digits and . _ - + @ = , #",
        "its name is not UTF-8",
    ]
