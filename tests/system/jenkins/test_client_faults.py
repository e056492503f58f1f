"""What may go wrong between Torii and a Jenkins: each fault is the right error, in words that help and without the token."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.gerrit_wires import deaf_port
from tests.support.jenkins_scripted import Answer, Asked, ScriptedJenkins, denied, jetty, login_needed, oops, said, sent_on
from tests.support.waiting import free_port, wait_until
from torii.config.settings import JenkinsSettings, Secret
from torii.jenkins import (
    Controller,
    JenkinsError,
    JenkinsInvalidError,
    JenkinsMissingError,
    JenkinsRefusedError,
    JenkinsUnavailableError,
)
from torii.jenkins.errors import JenkinsReplyTooLargeError
from torii.jenkins.wire import Wire

FAST = 0.01
ME = said({"id": "torii"})
LOGIN_PAGE = Answer(body=b"<html><head><title>Sign in to\n Example</title></head><body><form></form></body></html>")


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> Secret:
    monkeypatch.setenv("JENKINS_TOKEN", "hush-hush")
    return Secret("env:JENKINS_TOKEN")


def failure(call: Callable[[], object]) -> JenkinsError:
    with pytest.raises(JenkinsError) as raised:
        call()
    assert "hush" not in str(raised.value)
    assert "aHVzaC1odXNo" not in str(raised.value)
    return raised.value


def opened(settings: JenkinsSettings) -> Controller:
    return Controller(settings, patience=FAST)


def test_wrong_credentials_name_the_user_the_address_and_what_to_do(token: Secret) -> None:
    with ScriptedJenkins(lambda _: jetty(401, "Unauthorized")) as server:
        for call in (opened(server.settings(token)).user, lambda: opened(server.settings(token)).enable("a")):
            error = failure(call)
            assert isinstance(error, JenkinsRefusedError)
            assert f"Jenkins 'ci' at {server.url}" in str(error)
            assert "Check `user` (torii) and `token` of jenkins.ci: the token is made in Jenkins by that user" in str(error)
        assert len(server.asked) == 2, "what is refused is not asked for again"


def test_the_page_that_sends_nobody_to_the_login_is_a_refusal(token: Secret) -> None:
    with ScriptedJenkins(lambda _: login_needed()) as server:
        error = failure(opened(server.settings(None)).user)
        assert isinstance(error, JenkinsRefusedError)
        assert "403 Forbidden: Authentication required. Torii asks as nobody in particular: give `user` and `token`" in str(error)
        assert "window" not in str(error)
        assert isinstance(failure(lambda: opened(server.settings(token)).enable("a")), JenkinsRefusedError)


def test_a_missing_permission_is_named(token: Secret) -> None:
    with ScriptedJenkins(lambda _: denied("torii", "Job/Configure", "hudson.model.Item.Configure")) as server:
        error = failure(lambda: opened(server.settings(token)).update("a", b"<p/>"))
    assert isinstance(error, JenkinsRefusedError)
    assert error.permission == "Job/Configure"
    assert str(error).endswith(
        "POST /job/a/config.xml: 403 Forbidden: the account 'torii' lacks the permission Job/Configure. Give it to the account in Jenkins; "
        "`torii jenkins check` says what else is lacking"
    )


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (jetty(404, "Not Found"), JenkinsMissingError, "the account 'torii' may not see it"),
        (oops(409), JenkinsInvalidError, "The job is disabled in Jenkins"),
        (jetty(400, "Nothing is submitted"), JenkinsInvalidError, "Nothing is submitted"),
        (jetty(405, "Method Not Allowed"), JenkinsInvalidError, "405"),
        (oops(500), JenkinsUnavailableError, "500 Internal Server Error: Oops! A problem occurred while processing the request"),
        (jetty(503, "Service Unavailable"), JenkinsUnavailableError, "503"),
        (
            Answer(503, b"<title>Starting</title><h1>Please wait while Jenkins is getting ready to work</h1>"),
            JenkinsUnavailableError,
            "Please wait",
        ),
        (LOGIN_PAGE, JenkinsUnavailableError, "it answers with a page titled 'Sign in to Example', where Jenkins' JSON was due"),
        (Answer(body=b"[1, 2]", kind="application/json"), JenkinsUnavailableError, "where Jenkins' JSON was due"),
        (Answer(body=b"", kind="application/json"), JenkinsUnavailableError, "it answers with nothing"),
        (Answer(body=b'{"id": "tor', kind="application/json"), JenkinsUnavailableError, "JSON was due"),
        (Answer(body=b'{"id": "torii"}', kind="application/json", cut=5), JenkinsUnavailableError, "connection broke|cut or garbled"),
        (Answer(body=b"no", headers={"Content-Encoding": "gzip"}), JenkinsUnavailableError, "cut or garbled"),
    ],
    ids=lambda each: str(getattr(each, "status", "")) or None,
)
def test_each_kind_of_answer_is_told_apart(answer: Answer, error: type[JenkinsError], words: str, token: Secret) -> None:
    with ScriptedJenkins(lambda _: answer) as server:
        found = failure(opened(server.settings(token)).user)
        assert type(found) is error
        with pytest.raises(error, match=words):
            raise found
        again = answer.status >= 500 or answer.cut is not None or "Content-Encoding" in answer.headers
        assert len(server.asked) == (4 if again else 1)


def test_what_only_reads_is_asked_again_and_what_alters_is_not(token: Secret) -> None:
    left = [oops(500), jetty(503, "Service Unavailable")]
    with ScriptedJenkins(lambda _: left.pop() if left else ME) as server:
        assert opened(server.settings(token)).user() == "torii"
        assert len(server.asked) == 3
    with ScriptedJenkins(lambda _: jetty(503, "Service Unavailable")) as server:
        controller = opened(server.settings(token))
        for call in (lambda: controller.start("a", {"X": "1"}), lambda: controller.create("a", b"<p/>"), lambda: controller.stop("a", 1)):
            before = len(server.asked)
            assert isinstance(failure(call), JenkinsUnavailableError)
            assert len(server.asked) == before + 1


def test_who_asks_to_be_left_alone_is(token: Secret) -> None:
    busy = Answer(503, b"busy", headers={"Retry-After": "3600"})
    with ScriptedJenkins(lambda _: busy) as server:
        error = failure(opened(server.settings(token)).user)
        assert isinstance(error, JenkinsUnavailableError)
        assert error.retry_after == 3600
        assert len(server.asked) == 1


def test_a_jenkins_that_is_down_is_said_so(token: Secret) -> None:
    error = failure(opened(JenkinsSettings("ci", f"http://127.0.0.1:{free_port()}", token=token)).user)
    assert isinstance(error, JenkinsUnavailableError)
    assert "the connection is refused: nothing listens there. Is Jenkins up?" in str(error)
    unknown = failure(opened(JenkinsSettings("ci", "http://jenkins.invalid", token=token)).user)
    assert "its host name is not known. Check `url`" in str(unknown)


def test_a_slow_jenkins_is_given_up_after_its_time_limit(token: Secret) -> None:
    with ScriptedJenkins(lambda _: Answer(holds=True)) as server:
        began = time.monotonic()
        error = failure(lambda: opened(server.settings(token, timeout=0.3)).enable("a"))
        assert isinstance(error, JenkinsUnavailableError)
        assert "no answer within 0.3 s. If this Jenkins is that slow, raise `timeout` of jenkins.ci" in str(error)
        assert time.monotonic() - began > 0.25


def test_a_jenkins_that_takes_no_connection_is_given_up(token: Secret) -> None:
    with deaf_port() as port:
        error = failure(lambda: opened(JenkinsSettings("ci", f"http://127.0.0.1:{port}", token=token, timeout=0.3)).enable("a"))
    assert "nobody answers at this address" in str(error)


def test_an_answer_that_trickles_for_ever_has_an_end(token: Secret) -> None:
    with ScriptedJenkins(lambda _: Answer(body=iter(lambda: (server.closing.wait(0.02) and b"") or b" ", b""))) as server:
        error = failure(lambda: opened(server.settings(token, timeout=0.2)).enable("a"))
        assert "the reply did not end within 1 s" in str(error)


def test_an_answer_larger_than_torii_holds_is_refused(token: Secret) -> None:
    def endless() -> Iterator[bytes]:
        while not server.closing.is_set():
            yield b"x" * 1_000_000

    with ScriptedJenkins(lambda _: Answer(body=endless(), kind="application/json")) as server:
        error = failure(lambda: opened(server.settings(token, timeout=30)).jobs())
    assert isinstance(error, JenkinsReplyTooLargeError)
    assert "more than 67108864 bytes" in str(error)


def test_closing_ends_what_waits_for_an_answer(token: Secret) -> None:
    with ScriptedJenkins(lambda _: Answer(holds=True)) as server:
        controller = opened(server.settings(token, timeout=60))
        found: list[JenkinsError] = []
        thread = threading.Thread(target=lambda: found.append(failure(controller.user)))
        thread.start()
        wait_until(lambda: len(server.asked) == 1, 10)
        controller.close()
        thread.join(10)
    assert "Torii is stopping" in str(found[0])
    assert "Torii is stopping" in str(failure(controller.user))


def test_json_without_end_is_as_none(token: Secret) -> None:
    with ScriptedJenkins(lambda _: Answer(body=b'{"id": ' + b"[" * 200_000, kind="application/json")) as server:
        error = failure(opened(server.settings(token)).user)
    assert isinstance(error, JenkinsUnavailableError)
    assert "where Jenkins' JSON was due" in str(error)


def test_redirects_are_followed_within_the_origin_only(token: Secret) -> None:
    def answer(asked: Asked) -> Answer:
        match asked.path:
            case "/job/a/config.xml":
                return sent_on("/ci/job/a/config.xml")
            case "/ci/job/a/config.xml":
                return Answer(body=b"<project/>", kind="application/xml")
            case "/job/round/config.xml":
                return sent_on("/job/round/config.xml")
            case "/job/login/config.xml":
                return sent_on("/securityRealm/commenceLogin?from=/job/login")
            case _:
                return sent_on(f"{other.url}/stolen?token=1")

    with ScriptedJenkins(lambda _: ME) as other, ScriptedJenkins(answer) as server:
        controller = opened(server.settings(token))
        assert controller.config("a") == b"<project/>"
        assert "sends us on to" in str(failure(lambda: controller.config("round")))
        assert f"it sends us on to {server.url.rpartition(':')[0]}" in str(failure(lambda: controller.config("away"))).replace(
            other.url, server.url
        )
        assert "it sends us on to /securityRealm/commenceLogin, where" in str(failure(lambda: controller.config("login")))
        assert "is Jenkins' own URL (Manage Jenkins, System) the same" in str(failure(controller.user))
        assert isinstance(failure(lambda: controller.enable("away")), JenkinsUnavailableError), "a POST that leads to a login did nothing"
        assert other.asked == [], "our credentials go nowhere else"


def test_a_folder_may_be_called_as_a_login_page_is(token: Secret) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "POST":
            return sent_on("/sso/job/sso/job/login/3/")
        return said({"id": "torii"}) if asked.path.endswith("/x/me/api/json") else sent_on(asked.path.replace("/sso", "/sso/x", 1))

    with ScriptedJenkins(answer) as server:
        controller = opened(server.settings(token, "/sso", folder="sso"))
        controller.stop("login", 3)
        assert controller.user() == "torii"


def test_a_jenkins_behind_a_path_is_asked_under_that_path_whatever_root_it_names(token: Secret) -> None:
    listing = {"jobs": [{"name": "a", "url": "http://internal:8080/job/a/"}]}
    running = {"displayName": "x", "executors": [{"currentExecutable": {"number": 3, "url": "http://internal:8080/job/a/3/"}}]}
    running["executors"][0]["currentExecutable"]["actions"] = [{"parameters": [{"name": "TORII_UUID", "value": "u"}]}]  # type: ignore[index]

    def answer(asked: Asked) -> Answer:
        assert asked.path.startswith("/tools/ci/")
        if asked.method == "POST":
            return sent_on("http://internal:8080/job/a/3/")
        return said({"computer": [running]} if "computer" in asked.path else listing)

    with ScriptedJenkins(answer) as server:
        controller = opened(server.settings(token, "/tools/ci/"))
        [job] = controller.jobs()
        [build] = controller.running().values()
        controller.stop(build.job, build.number)
        assert (job, build.job, build.number) == ("a", "a", 3)
        assert server.paths[-1] == "POST /tools/ci/job/a/3/stop"


def test_a_connection_that_jenkins_may_have_ended_is_not_used_again(token: Secret) -> None:
    with ScriptedJenkins(lambda _: Answer()) as server:
        settings = server.settings(token)
        for kept, lines in ((60.0, 1), (0.0, 3)):
            wire = Wire(settings, f"{server.url}/crumbIssuer/api/json", kept=kept)
            server.asked.clear()
            for _ in range(3):
                wire.post(f"{server.url}/x")
            assert len({asked.line for asked in server.asked}) == lines
            wire.close()


def test_what_is_sent_is_not_held_back_by_the_network(token: Secret) -> None:
    with ScriptedJenkins(lambda _: ME) as server:
        controller = opened(server.settings(token))
        controller.user()
        [session] = controller._api.wire._idle
        connected = session.line._socket
        assert connected is not None
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "jenkins")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    ca = folder / "ca.pem"
    ca.write_bytes(built.public_bytes(Encoding.PEM))
    private = folder / "key.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, private)
    return ca, context


def test_https_where_jenkins_speaks_http_is_told_from_a_wrong_certificate(token: Secret) -> None:
    with ScriptedJenkins(lambda _: ME) as server:
        settings = server.settings(token)
        error = failure(opened(replace(settings, url=settings.url.replace("http:", "https:"))).user)
    assert isinstance(error, JenkinsUnavailableError)
    assert "what listens there speaks no TLS. Is it http, not https, in `url` of jenkins.ci" in str(error)


def test_a_certificate_of_ones_own_is_trusted_by_its_file_and_only_then(
    token: Secret, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, context = certificate(tmp_path)
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    with ScriptedJenkins(lambda _: ME, context) as server:
        assert opened(server.settings(token, ca=ca)).user() == "torii"
        error = failure(opened(server.settings(token)).user)
    assert isinstance(error, JenkinsUnavailableError)
    assert "TLS fails: " in str(error)
    assert "give its file as `ca` of jenkins.ci" in str(error)


def test_a_proxy_that_the_environment_names_is_used_and_named_where_it_fails(token: Secret, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = JenkinsSettings("ci", "http://jenkins.example.com:8080", token=token)
    with ScriptedJenkins(lambda _: ME) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert opened(settings).user() == "torii"
        assert proxy.asked[0].headers["Host"] == "jenkins.example.com:8080"
    assert "the proxy that the environment names fails" in str(failure(opened(settings).user))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ScriptedJenkins(lambda _: ME) as server:
        assert opened(server.settings(token)).user() == "torii"


def test_the_address_is_shown_without_what_may_be_secret(token: Secret) -> None:
    settings = JenkinsSettings("ci", f"http://user:hush@127.0.0.1:{free_port()}", token=token)
    assert "hush" not in str(failure(opened(settings).user))
