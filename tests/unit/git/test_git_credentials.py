"""Secrets on their way to git."""

from __future__ import annotations

import base64
from pathlib import Path

from torii.config.settings import GitConnection, Secret
from torii.git import Credentials, Remote
from torii.git.credentials import credentials_of, split_url


def test_a_password_is_in_no_repr_and_no_shown_address() -> None:
    credentials = Credentials("ci", "swordfish")
    assert "swordfish" not in repr(credentials)
    remote = Remote("https://ci:swordfish@git.example.com/app", credentials)
    assert "swordfish" not in repr(remote) + remote.shown


def test_a_password_goes_into_a_header_for_its_own_host_only() -> None:
    bare, configuration, secrets = split_url("https://ci:from-url@git.example.com:8443/app", Credentials(None, "sw:ord"))
    assert bare == "https://git.example.com:8443/app"
    token = base64.b64encode(b"ci:sw:ord").decode()
    assert configuration == (("http.https://git.example.com:8443/.extraHeader", f"Authorization: Basic {token}"),)
    assert secrets == ("sw:ord", token)


def test_ssh_asks_nothing_and_checks_host_keys() -> None:
    command = Credentials(key=Path("/etc/torii/my key"), known_hosts=Path("/etc/torii/known hosts")).ssh_command(7)
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=7", "IdentitiesOnly=yes", "'/etc/torii/my key'"):
        assert option in command
    assert 'UserKnownHostsFile="/etc/torii/known hosts"' in command


def test_a_connection_is_logged_in_to_as_server_yml_says(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("swordfish\n")
    connection = GitConnection("forge", user="ci", password=Secret(f"file:{tmp_path / 'password'}"), key=tmp_path / "key")
    assert credentials_of(connection) == Credentials("ci", "swordfish", tmp_path / "key")
