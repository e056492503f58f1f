"""Names from outside, before git sees them."""

from __future__ import annotations

import pytest

from torii.git import UnsafeNameError, check_branch, check_ref, check_sha, check_url, redact

GOOD_REFS = [
    *("refs/heads/main", "refs/heads/stable/1.x", "refs/changes/01/1/1", "refs/staging/gate/k3f9-17.2/feature/a;b", "refs/heads/ünï"),
    *("refs/heads/it's", 'refs/heads/say"so"', "refs/heads/$(x)", "refs/heads/a@b"),
]
BAD_REFS = [
    *("main", "HEAD", "refs/", "refs/heads/", "refs/heads/a..b", "refs/heads/a b", "refs/heads/a\nb", "refs/heads/a\0", "refs/heads/-x"),
    *("refs/heads/.x", "refs/heads/x.lock", "refs/heads/x.", "refs/heads/a//b", "refs/heads/a~1", "refs/heads/a^", "refs/heads/a:b"),
    *("refs/heads/a?", "refs/heads/*", "refs/heads/[a]", "refs/heads/a\\b", "refs/heads/@{1}", "refs/heads/\x7f", "-refs/heads/x", "", "/"),
    *("refs/heads/\udcff", "refs/heads/" + "x" * 600, "refs/heads/a/@"),
]


@pytest.mark.parametrize("name", GOOD_REFS)
def test_a_ref_that_git_allows_passes(name: str) -> None:
    assert check_ref(name) == name


@pytest.mark.parametrize("name", BAD_REFS)
def test_a_ref_that_git_or_torii_does_not_allow_is_refused(name: str) -> None:
    with pytest.raises(UnsafeNameError):
        check_ref(name)


@pytest.mark.parametrize("name", ["", "-x", "a..b", "a b", "x.lock", "a\nb", "--upload-pack=touch x"])
def test_a_branch_that_cannot_be_a_ref_is_refused(name: str) -> None:
    with pytest.raises(UnsafeNameError):
        check_branch(name)


@pytest.mark.parametrize("text", ["", "abc", "A" * 40, "g" * 40, "a" * 41, "a" * 40 + "\n", "--all"])
def test_what_is_no_full_commit_id_is_refused(text: str) -> None:
    with pytest.raises(UnsafeNameError):
        check_sha(text)
    assert check_sha("a" * 40) == "a" * 40
    assert check_sha("0" * 64) == "0" * 64


@pytest.mark.parametrize(
    "url",
    [
        *(
            "/srv/git/app.git",
            "file:///srv/git/app.git",
            "ssh://git@host:29418/app",
            "https://host/app.git",
            "http://u:p@host/x",
            "git://h/x",
        ),
        *("git@host:app.git", "host:path/to/app", "ssh://git@[::1]:22/app", "/srv/a::b"),
    ],
)
def test_an_address_of_a_repository_passes(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "-x", "--upload-pack=x", "ext::sh -c x", "fd::17", "ssh://-oProxyCommand=x/app", "ssh://git@-x/app", "relative/path"),
        *("ftp://host/x", "host::x", "http://host/\nx", "-host:path", "git@-host:path", "host:-path", "javascript://x", "a/b:c"),
    ],
)
def test_what_git_would_run_or_take_for_an_option_is_no_address(url: str) -> None:
    with pytest.raises(UnsafeNameError):
        check_url(url)


def test_passwords_are_taken_out_of_what_git_says() -> None:
    assert redact("cannot reach https://user:pa@ss@host/x: no") == "cannot reach https://***@host/x: no"
    assert redact("https://token@host/x") == "https://***@host/x"
    assert redact("ssh://git:secret@host/x") == "ssh://git:***@host/x"
    assert redact("ssh://git@host/x") == "ssh://git@host/x"
    assert redact("it said swordfish", "swordfish") == "it said ***"
