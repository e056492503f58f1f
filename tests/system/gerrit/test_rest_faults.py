"""Gerrit's REST interface against a web server that breaks as it is told to: each fault is the right error, in words that help."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.gerrit_wires import Answer, WebServer, deaf_port, recorded_refusals
from tests.support.waiting import free_port, wait_until, within
from torii.config.settings import GerritConnection, Secret
from torii.errors import OperatorError
from torii.sources.gerrit.errors import GerritError, GerritRefusedError, GerritReplyTooLargeError, GerritUnavailableError
from torii.sources.gerrit.rest import GerritRest

FAST = 0.01
LOGIN_PAGE = b"<html><head><title>Sign in to\n Example</title></head><body><form></form></body></html>"
NOW = 1795341600.0  # what the server's Date says


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> Secret:
    monkeypatch.setenv("GERRIT_PASSWORD", "hush-hush")
    return Secret("env:GERRIT_PASSWORD")


def open_rest(url: str, password: Secret | None = None, timeout: float = 5.0, **given: Any) -> GerritRest:
    return GerritRest(GerritConnection("main", url, password=password, timeout=timeout), patience=FAST, **given)


def failure(call: Callable[[], object]) -> GerritError:
    with pytest.raises(GerritError) as raised:
        call()
    assert "hush" not in str(raised.value)
    return raised.value


def unavailable(call: Callable[[], object]) -> GerritUnavailableError:
    error = failure(call)
    assert isinstance(error, GerritUnavailableError), error
    return error


def test_json_comes_without_its_guard_and_the_login_goes_with_each_request(password: Secret) -> None:
    with WebServer([Answer(body=b')]}\'\n{"_number": 7, "subject": "gr\xc3\xbcn"}')]) as server:
        rest = open_rest(server.url + "/", password)
        assert rest.get("/changes/", [("q", 'since:"2026-11-22 10:00:00"'), ("o", "MESSAGES"), ("o", "CURRENT_REVISION")]) == {
            "_number": 7,
            "subject": "grün",
        }
        [asked] = server.asked
    assert asked.path == "/a/changes/?q=since%3A%222026-11-22+10%3A00%3A00%22&o=MESSAGES&o=CURRENT_REVISION"
    assert asked.headers["Authorization"] == "Basic dG9yaWk6aHVzaC1odXNo"


def test_nobody_in_particular_asks_without_a_login() -> None:
    with WebServer() as server:
        open_rest(server.url).get("changes/demo~1")
        assert [(asked.path, "Authorization" in asked.headers) for asked in server.asked] == [("/changes/demo~1", False)]


def test_the_password_is_read_when_it_is_used(password: Secret, monkeypatch: pytest.MonkeyPatch) -> None:
    with WebServer() as server:
        rest = open_rest(server.url, password)
        rest.get("x")
        monkeypatch.setenv("GERRIT_PASSWORD", "new")
        rest.get("x")
        assert len({asked.headers["Authorization"] for asked in server.asked}) == 2
        monkeypatch.delenv("GERRIT_PASSWORD")
        with pytest.raises(OperatorError, match="GERRIT_PASSWORD"):
            rest.get("x")


def test_what_is_posted_is_json_and_an_empty_answer_is_nothing(password: Secret) -> None:
    with WebServer([Answer(status=204, body=b""), Answer(body=b")]}'\n[1]")]) as server:
        rest = open_rest(server.url, password)
        assert rest.delete("changes/demo~1/topic") is None
        assert rest.post("changes/demo~1/abandon", {"message": "no"}) == [1]
        assert rest.put("changes/demo~1/topic", {"topic": "t"}) == [1]
        assert rest.post("changes/demo~1/ready") == [1]
        said = [(asked.method, asked.body) for asked in server.asked]
    assert said == [("DELETE", b""), ("POST", b'{"message": "no"}'), ("PUT", b'{"topic": "t"}'), ("POST", b"")]


def test_connections_are_kept_open_and_each_thread_at_a_time_has_one(password: Secret) -> None:
    with WebServer() as server:
        rest = open_rest(server.url, password)
        for _ in range(5):
            rest.get("x")
            thread = threading.Thread(target=rest.get, args=("y",))
            thread.start()
            thread.join()
        assert len({asked.line for asked in server.asked}) == 1
        assert len(server.asked) == 10


def test_a_file_comes_out_of_its_base64() -> None:
    with WebServer([Answer(body=b"am9iczoge30K", kind="text/plain; charset=ISO-8859-1"), Answer(body=b"!!", kind="text/plain")]) as server:
        rest = open_rest(server.url)
        assert rest.get_content("projects/demo/branches/main/files/torii.yml/content") == b"jobs: {}\n"
        assert server.asked[0].headers["Accept"] == "text/plain"  # who accepts JSON is given a JSON string instead
        assert "base64" in str(unavailable(lambda: rest.get_content("projects/demo/branches/main/files/torii.yml/content")))


@pytest.mark.parametrize("refusal", recorded_refusals(), ids=lambda refusal: refusal["name"])
def test_a_refusal_is_told_in_gerrits_own_words_and_asked_for_once(refusal: dict[str, Any], password: Secret) -> None:
    answer = Answer(status=refusal["status"], body=refusal["reply"].encode(), kind="text/plain; charset=UTF-8")
    with WebServer([answer]) as server:
        rest = open_rest(server.url, password)
        path = refusal["path"].removeprefix("/a/")
        error = failure(lambda: rest.get(path) if refusal["method"] == "GET" else rest.post(path, {}))
        assert len(server.asked) == 1
    assert isinstance(error, GerritRefusedError)
    assert (error.status, error.text) == (refusal["status"], refusal["reply"].strip())
    assert error.text in str(error)
    assert f"Gerrit 'main' at {server.url}, {refusal['method']} /{path.partition('?')[0]}: {error.status}" in str(error)


def test_401_says_which_password_is_meant(password: Secret) -> None:
    with WebServer([Answer(status=401, body=b"Unauthorized", kind="text/plain")]) as server:
        assert "`password` of connections.main" in str(failure(lambda: open_rest(server.url, password).get("accounts/self")))
        assert "give `user` and `password`" in str(failure(lambda: open_rest(server.url).get("accounts/self")))


def test_403_and_404_say_what_to_do(password: Secret) -> None:
    with WebServer(
        [Answer(status=403, body=b"submit not permitted", kind="text/plain"), Answer(status=404, body=b"", kind="text/html")]
    ) as server:
        rest = open_rest(server.url, password)
        assert "torii gerrit check" in str(failure(lambda: rest.post("changes/demo~1/submit")))
        assert "may not see it" in str(failure(lambda: rest.get("changes/demo~1")))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_for_again_and_comes(status: int) -> None:
    with WebServer([Answer(status=status, body=b"busy", kind="text/plain"), Answer(body=b")]}'\n1")]) as server:
        assert open_rest(server.url).get("x") == 1
        assert len(server.asked) == 2


def test_asking_again_has_an_end() -> None:
    with WebServer([Answer(status=500, body=b"Internal server error", kind="text/plain")]) as server:
        error = unavailable(lambda: open_rest(server.url).get("x"))
        assert len(server.asked) == 4
    assert error.status == 500
    assert "500 Internal Server Error: Internal server error" in str(error)


def test_what_alters_something_is_sent_once() -> None:
    for answer in (Answer(status=503, kind="text/plain", body=b"busy"), Answer(body=b")]}'\n{}", cut=3), Answer(body=b"{")):
        with WebServer([answer]) as server:
            rest = open_rest(server.url)
            for call in (rest.post, rest.put, rest.delete):
                unavailable(lambda call=call: call("x"))  # type: ignore[misc]
            assert len(server.asked) == 3


def test_429_is_left_alone_for_as_long_as_it_asks(password: Secret) -> None:
    busy = Answer(status=429, body=b"slow down", kind="text/plain")
    soon, later = (("Retry-After", "1"),), (("Retry-After", "3600"),)
    dated = (("Retry-After", "Sun, 22 Nov 2026 10:02:00 GMT"),)
    with WebServer([Answer(429, b"slow down", "text/plain", soon), Answer(body=b")]}'\n1")]) as server:
        began = time.monotonic()
        assert open_rest(server.url, password).get("x") == 1
        assert time.monotonic() - began >= 1.0
    for headers, seconds in ((later, 3600.0), (dated, 120.0), ((("Retry-After", "soon"),), None), ((), None)):
        with WebServer([Answer(429, busy.body, busy.kind, headers)]) as server:
            error = unavailable(lambda server=server: open_rest(server.url, password).post("x"))  # type: ignore[misc]
            assert (error.status, error.retry_after) == (429, seconds)
    with WebServer([Answer(429, busy.body, busy.kind, later)]) as server:
        assert "3600 s" in str(unavailable(lambda: open_rest(server.url, password).get("x")))
        assert len(server.asked) == 1  # an hour is longer than anybody waits


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(body=LOGIN_PAGE, kind="text/html; charset=UTF-8"), "a page titled 'Sign in to Example'"),
        (
            Answer(status=302, body=b"", kind="text/html", headers=(("Location", "https://login.example.com/?x"),)),
            "sends us on to https://login",
        ),
        (Answer(body=b"\x00\x01", kind="application/octet-stream"), "application/octet-stream that begins"),
        (Answer(body=b"<p>Down for <b>maintenance</b></p>", kind="text/html"), "begins 'Down for maintenance'"),
    ],
)
def test_an_answer_of_somebody_else_is_named_as_such(answer: Answer, words: str, password: Secret) -> None:
    with WebServer([answer]) as server:
        error = unavailable(lambda: open_rest(server.url, password).get("changes/"))
        assert {asked.path for asked in server.asked} == {"/a/changes/"}  # nobody follows to a login page with our password
    assert words in str(error)
    assert "connections.main" in str(error)


def test_a_page_of_html_as_a_refusal_is_told_by_its_title() -> None:
    with WebServer([Answer(status=403, body=LOGIN_PAGE, kind="text/html")]) as server:
        assert "403 Forbidden: a page titled 'Sign in to Example'" in str(failure(lambda: open_rest(server.url).get("x")))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b')]}\'\n{"a": '),
        Answer(body=b")]}'\ngarbage"),
        Answer(body=b")]}'\n\xff\xfe"),
        Answer(body=b"{}", kind="application/json; charset=nonsense"),
        Answer(body=b")]}'\n" + b"[1, " * 1000, cut=20),
        Answer(body=b"", headers=(("Transfer-Encoding", "chunked"),), cut=0),
        Answer(body=b"5\r\n)]}'\n\r\nnonsense\r\n", headers=(("Transfer-Encoding", "chunked"),)),
        Answer(body=b"no gzip", headers=(("Content-Encoding", "gzip"),)),
    ],
    ids=["truncated", "garbage", "not-utf8", "charset", "reset", "reset-at-once", "chunks", "gzip"],
)
def test_a_cut_or_garbled_reply_may_pass(answer: Answer) -> None:
    with WebServer([answer, Answer(body=b")]}'\n1")]) as server:
        assert open_rest(server.url).get("x") == 1
    with WebServer([answer]) as server:
        assert "http://127.0.0.1" in str(unavailable(lambda: open_rest(server.url).post("x")))


def test_a_reply_without_end_is_not_held_in_memory() -> None:
    long = b")]}'\n[" + b"1," * 100_000 + b"1]"
    packed = (("Content-Encoding", "gzip"),)
    for answer in (Answer(body=long), Answer(body=gzip.compress(long), headers=packed)):
        with WebServer([answer]) as server:
            assert len(open_rest(server.url).get("x")) == 100_001
            error = failure(lambda server=server: open_rest(server.url, largest=50_000).get("x"))  # type: ignore[misc]
            assert isinstance(error, GerritReplyTooLargeError)
            assert len(server.asked) == 2
            assert "ask for less" in str(error)


def test_no_answer_in_time_is_an_error_that_names_the_limit() -> None:
    with WebServer([Answer(holds=True)]) as server, within(3):
        error = unavailable(lambda: open_rest(server.url, timeout=0.2).get("x"))
    assert "no answer within 0.2 s" in str(error)
    assert "`timeout` of connections.main" in str(error)


def test_a_reply_that_trickles_has_an_end() -> None:
    with WebServer([Answer(trickles=True)]) as server:
        rest = GerritRest(GerritConnection("main", server.url, timeout=0.1), patience=FAST)
        began = time.monotonic()
        error = unavailable(lambda: rest.post("x"))
        assert 0.3 < time.monotonic() - began < 8
    assert "did not end within" in str(error)


def test_a_slow_answer_within_the_limit_is_one() -> None:
    with WebServer([Answer(holds=True), Answer(body=b")]}'\n1")]) as server:
        assert open_rest(server.url, timeout=1.5).get("x") == 1


def test_a_name_that_nobody_knows_is_told_from_a_port_at_which_nobody_listens() -> None:
    assert "host name is not known" in str(unavailable(lambda: open_rest("http://gerrit.invalid", timeout=2).post("x")))
    assert "nothing listens there" in str(unavailable(lambda: open_rest(f"http://127.0.0.1:{free_port()}").post("x")))
    with deaf_port() as port:
        assert "nobody answers at this address" in str(unavailable(lambda: open_rest(f"http://127.0.0.1:{port}", timeout=0.3).post("x")))


def test_an_address_that_is_none_is_an_error_with_the_key_to_mend() -> None:
    assert "`url` of connections.main" in str(failure(lambda: open_rest("http://[broken").post("x")))


def test_tls_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with WebServer() as server:
        error = unavailable(lambda: open_rest(server.url.replace("http:", "https:"), timeout=1).post("x"))
        assert "TLS fails" in str(error)
        assert "`ca` of connections.main" in str(error)
        missing = GerritConnection("main", server.url.replace("http:", "https:"), ca=tmp_path / "missing.pem")
        assert "missing.pem" in str(failure(lambda: GerritRest(missing).post("x")))


def test_a_certificate_of_ones_own_is_trusted_where_its_file_is_given(tmp_path: Path) -> None:
    certificate, context = own_certificate(tmp_path)
    with WebServer([Answer(body=b")]}'\n1"), Answer(holds=True)], tls=context) as server:
        assert "`ca` of connections.main" in str(unavailable(lambda: open_rest(server.url).post("x")))
        rest = GerritRest(GerritConnection("main", server.url, timeout=5, ca=certificate))
        assert rest.post("x") == 1
        thread = threading.Thread(target=lambda: unavailable(lambda: rest.post("x")))
        thread.start()
        wait_until(lambda: len(server.asked) == 2)
        rest.stop()
        thread.join(20)
        assert not thread.is_alive()


def own_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for 127.0.0.1 that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(1), now + timedelta(1))
    certificate = folder / "certificate.pem"
    certificate.write_bytes(made.add_extension(address, critical=False).sign(key, SHA256()).public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, folder / "key.pem")
    return certificate, context


def test_a_password_in_the_address_is_not_shown() -> None:
    error = unavailable(lambda: open_rest(f"http://torii:hush-hush@127.0.0.1:{free_port()}").post("x"))
    assert "hush" not in str(error)


def test_the_servers_clock_is_told_and_goes_on() -> None:
    with WebServer([Answer(status=404, body=b"", kind="text/plain"), Answer(headers=(("Date", "no date"),))]) as server:
        rest = open_rest(server.url)
        assert rest.server_time() is None
        failure(lambda: rest.get("x"))
        heard = time.monotonic()
        rest.get("x")
        told = rest.server_time()
        assert told is not None
        assert abs(told - NOW - (time.monotonic() - heard)) < 0.5


def test_a_stop_ends_what_waits_for_an_answer_or_for_the_next_attempt() -> None:
    for answer in (Answer(holds=True), Answer(trickles=True), Answer(429, b"", "text/plain", (("Retry-After", "20"),))):
        with WebServer([answer]) as server:
            rest = open_rest(server.url, timeout=30)
            errors: list[GerritError] = []
            thread = threading.Thread(target=lambda rest=rest, errors=errors: errors.append(failure(lambda: rest.get("x"))))
            thread.start()
            wait_until(lambda server=server: server.asked)
            with within(2):
                rest.stop()
                thread.join(20)
            assert [type(error) for error in errors] == [GerritUnavailableError]
            assert "Torii is stopping" in str(unavailable(lambda rest=rest: rest.get("x")))  # type: ignore[misc]


def test_many_threads_ask_at_the_same_time() -> None:
    with WebServer([Answer(body=b")]}'\n1")]) as server:
        rest = open_rest(server.url)
        found: list[object] = []
        threads = [threading.Thread(target=lambda: found.extend(rest.get("x") for _ in range(20))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert found == [1] * 160
        assert len({asked.line for asked in server.asked}) <= 8


def test_a_connection_that_the_server_closed_meanwhile_is_no_fault() -> None:
    close = (("Connection", "close"),)
    with WebServer([Answer(headers=close), Answer(body=b")]}'\n1")]) as server:
        rest = open_rest(server.url)
        rest.get("x")
        assert rest.post("x") == 1
