"""git over HTTPS, with a server whose certificate only a file of ours vouches for; and what a machine's other users see of a password."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.git_servers import Fault, HttpServer, git, make_repository
from tests.support.waiting import wait_until
from torii.git import Credentials, Remote, RemoteUnavailableError

_DAY = datetime.timedelta(days=1)
_LOOPBACK = ipaddress.ip_address("127.0.0.1")
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "review.example.com")])


def make_certificate(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that signs itself; return the file, in which its key is too."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(_NAME, _NAME, key.public_key(), x509.random_serial_number(), now - _DAY, now + _DAY)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(_LOOPBACK)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return file


class HttpsServer(HttpServer):
    """The same, over TLS."""

    def __init__(self, root: Path, certificate: Path, user: str, password: str) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        super().__init__(root, user, password)

    def url(self, name: str) -> str:
        return super().url(name).replace("http:", "https:")

    def come_back(self) -> None:
        super().come_back()
        if self._server is not None and not isinstance(self._server.socket, ssl.SSLSocket):
            self._server.socket = self._context.wrap_socket(self._server.socket, server_side=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HttpsServer]:
    certificate = make_certificate(tmp_path)
    path = make_repository(tmp_path / "root", "app.git")
    git("update-ref", "refs/heads/main", git("commit-tree", "-m", "one", git("mktree", cwd=path, given=""), cwd=path), cwd=path)
    server = HttpsServer(tmp_path / "root", certificate, "torii", "swordfish")
    yield server
    server.close()


def test_a_certificate_is_trusted_only_where_a_file_vouches_for_it(server: HttpsServer, tmp_path: Path) -> None:
    with pytest.raises(RemoteUnavailableError, match="certificate"):
        Remote(server.url("app.git"), Credentials("torii", "swordfish"), 20.0).ls_remote()
    assert not server.requests
    found = Remote(server.url("app.git"), Credentials("torii", "swordfish", ca=tmp_path / "ca.pem"), 20.0).ls_remote()
    assert list(found) == ["refs/heads/main"]


def test_the_file_of_a_connection_counts_more_than_that_of_the_machine(
    server: HttpsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSL_CAINFO", str(tmp_path / "elsewhere.pem"))
    assert Remote(server.url("app.git"), Credentials("torii", "swordfish", ca=tmp_path / "ca.pem"), 20.0).ls_remote()


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc, to see what others see")
def test_no_password_is_on_a_command_line_while_git_runs(server: HttpsServer, tmp_path: Path) -> None:
    remote = Remote(server.url("app.git"), Credentials("torii", "swordfish", ca=tmp_path / "ca.pem"), 20.0)
    server.set_fault(Fault.HANG)
    asking = threading.Thread(target=_ask, args=(remote,), daemon=True)
    asking.start()
    wait_until(lambda: bool(server.requests), 20.0)
    lines = [line for line in map(_command_line, Path("/proc").glob("[0-9]*/cmdline")) if str(server.port) in line]
    server.set_fault(Fault.NONE)
    asking.join(20.0)
    assert any("ls-remote" in line for line in lines)
    assert not [line for line in lines if "swordfish" in line or "dG9yaWk6" in line]  # as it is, and as base64 of `torii:`


def _ask(remote: Remote) -> None:
    with contextlib.suppress(RemoteUnavailableError):
        remote.ls_remote()


def _command_line(file: Path) -> str:
    try:
        return file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
