"""Which lines of an OpenSSH file of known hosts count for a host."""

from __future__ import annotations

from pathlib import Path

import paramiko
import pytest
from paramiko.hostkeys import HostKeys

from torii.sources.gerrit.host_keys import KnownKeys, read_known_keys

ONE, OTHER = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate(bits=384)
NAME = "[gerrit.example.com]:29418"


def written(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.get_base64()}"


def known(tmp_path: Path, text: str, name: str = NAME) -> KnownKeys:
    path = tmp_path / "known_hosts"
    path.write_text(text)
    return read_known_keys([path], name)


@pytest.mark.parametrize(
    "hosts",
    [
        NAME,
        f"other,{NAME}",
        NAME.upper(),
        "[*.example.com]:29418",
        "[gerrit.example.co?]:29418",
        "*",
        pytest.param(HostKeys.hash_host(NAME), id="hashed"),
    ],
)
def test_a_line_that_names_the_host_counts(tmp_path: Path, hosts: str) -> None:
    assert known(tmp_path, f"{hosts} {written(ONE)} a comment\n").good == (ONE,)


@pytest.mark.parametrize(
    "hosts",
    [
        "gerrit.example.com",
        "[gerrit.example.com]:22",
        "g[gerrit.example.com]:29418",
        f"*,!{NAME}",
        pytest.param(HostKeys.hash_host("gerrit.example.com"), id="hashed without the port"),
        "|1|garbage",
        "|1|x|y",
        "|2|eA==|eA==",
        f"# {NAME}",
        f"@cert-authority {NAME}",
        f"@unheard-of {NAME}",
    ],
)
def test_a_line_that_does_not_name_it_or_is_something_else_does_not_count(tmp_path: Path, hosts: str) -> None:
    assert known(tmp_path, f"{hosts} {written(ONE)}\n") == KnownKeys((), ())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        f"{NAME} ssh-ed25519",
        f"{NAME} ssh-ed25519 !",
        f"{NAME} ssh-ed25519 AAAA",
        f"{NAME} nonsense AAAA",
        pytest.param("\udcff", id="no UTF-8"),
    ],
)
def test_a_broken_line_does_not_hide_the_others(tmp_path: Path, line: str) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(f"{line}\n{NAME} {written(ONE)}\n".encode(errors="surrogateescape"))
    assert read_known_keys([path], NAME).good == (ONE,)


def test_a_host_may_have_several_keys_and_some_that_it_must_not_have(tmp_path: Path) -> None:
    text = f"{NAME} {written(ONE)}\n{NAME} {written(OTHER)}\n@revoked * {written(ONE)}\n"
    assert known(tmp_path, text) == KnownKeys((ONE, OTHER), (ONE,))


def test_keys_come_from_all_the_files(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, key in zip(paths, (ONE, OTHER), strict=True):
        path.write_text(f"{NAME} {written(key)}\n")
    assert read_known_keys(paths, NAME).good == (ONE, OTHER)
    with pytest.raises(OSError, match="missing"):
        read_known_keys([tmp_path / "missing"], NAME)


def test_the_kinds_of_known_keys_are_asked_for_first() -> None:
    kinds = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "rsa-sha2-512", "rsa-sha2-256"]
    assert KnownKeys((OTHER,), ()).prefer(kinds)[0] == "ecdsa-sha2-nistp384"
    assert KnownKeys((paramiko.RSAKey.generate(1024),), ()).prefer(kinds)[:2] == ("rsa-sha2-512", "rsa-sha2-256")
    assert KnownKeys((), ()).prefer(kinds) == tuple(kinds)
