"""What a test can make go wrong with the fake Jenkins, and what it shows then: each as a real one was seen to fail."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jenkins
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.gearman_servers import EmbeddedServer, Gearmand, GearmanServer
from tests.support.jenkins_lab import Heard
from tests.support.waiting import wait_until
from torii.gearman import Client
from torii.testing.jenkins import FakeJenkins, FakeNode, Words, job_xml


@pytest.fixture(params=["embedded", pytest.param("gearmand", marks=pytest.mark.needs("gearmand"))])
def server(request: pytest.FixtureRequest) -> Iterator[GearmanServer]:
    server: GearmanServer = EmbeddedServer() if request.param == "embedded" else Gearmand()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def fake(tmp_path: Path, server: GearmanServer) -> Iterator[FakeJenkins]:
    nodes = [FakeNode("agent1", ("linux",)), FakeNode("agent2"), FakeNode("agent3")]
    with FakeJenkins(tmp_path, gearman=[server.address], nodes=nodes) as fake:
        fake.add_job("app", job_xml("echo hello", label="linux"))
        yield fake


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[FakeJenkins]:
    """One without the plug-in."""
    with FakeJenkins(tmp_path) as fake:
        fake.add_job("app", job_xml("echo hello"))
        fake.hold()
        yield fake


@pytest.fixture
def submit(server: GearmanServer) -> Iterator[Callable[..., Heard]]:
    client = Client([server.address], "test")
    assert client.wait_connected(5)

    def send(uuid: str, function: str = "build:app", **parameters: str) -> Heard:
        heard = Heard()
        client.submit(function, json.dumps({"TORII_UUID": uuid, **parameters}).encode(), uuid, listener=heard)
        return heard

    yield send
    client.stop()


def get(fake: FakeJenkins, path: str, **options: Any) -> requests.Response:
    return requests.get(f"{fake.url}/{path}", auth=(fake.user, fake.token), timeout=10, **options)


# -- HTTP


@pytest.mark.parametrize(
    ("kind", "status", "shown"),
    [
        *((401, 401, "HTTP ERROR 401"), (403, 403, "Access Denied"), ("login", 403, "/login?from=%2Fapi%2Fjson"), (404, 404, "Not Found")),
        *((409, 409, "<html"), (500, 500, "Oops!"), (502, 502, "Bad Gateway"), (503, 503, "Service Unavailable"), ("html", 200, "<html")),
    ],
)
def test_the_next_requests_that_match_meet_a_fault(plain: FakeJenkins, kind: int | str, status: int, shown: str) -> None:
    fault = plain.fault(kind, "GET .*api/json", times=2)
    assert get(plain, "job/app/config.xml").status_code == 200
    for _ in range(2):
        answer = get(plain, "api/json")
        assert (answer.status_code, shown in answer.text, answer.headers["Content-Type"].split(";")[0]) == (status, True, "text/html")
    assert (get(plain, "api/json").json()["mode"], fault.met) == ("NORMAL", 2)


@pytest.mark.parametrize("kind", ["cut", "half", "after"])
def test_a_connection_is_cut(plain: FakeJenkins, kind: str) -> None:
    plain.fault(kind, "config.xml")
    with pytest.raises(requests.RequestException):
        get(plain, "job/app/config.xml")
    assert get(plain, "job/app/config.xml").status_code == 200


def test_what_was_done_before_a_connection_was_cut_is_done(plain: FakeJenkins) -> None:
    plain.fault("after", "buildWithParameters")
    with pytest.raises(requests.ConnectionError):
        requests.post(f"{plain.url}/job/app/buildWithParameters", auth=(plain.user, plain.token), timeout=10)
    assert plain.wait_for_build("app").held


def test_an_answer_is_slow_until_the_fake_ends(plain: FakeJenkins) -> None:
    plain.fault("slow", seconds=60)
    with pytest.raises(requests.Timeout):
        requests.get(f"{plain.url}/api/json", auth=(plain.user, plain.token), timeout=0.2)
    assert get(plain, "api/json").status_code == 200


def test_it_is_down_and_up_again_at_the_same_address(plain: FakeJenkins) -> None:
    plain.start_build("app")
    kept = requests.Session()
    kept.auth = (plain.user, plain.token)
    assert kept.get(f"{plain.url}/api/json", timeout=10).status_code == 200
    plain.down()
    with pytest.raises(requests.ConnectionError):
        kept.get(f"{plain.url}/api/json", timeout=10)
    assert plain.release("app").result == "SUCCESS"
    plain.up()
    assert kept.get(f"{plain.url}/job/app/1/api/json", timeout=10).json()["result"] == "SUCCESS"
    kept.close()


def test_a_log_of_500_mb_is_served_and_never_held(plain: FakeJenkins) -> None:
    plain.start_build("app")
    plain.huge_log("app", 1, 500 << 20)
    tracemalloc.start()
    answer = get(plain, "job/app/1/logText/progressiveText?start=0", stream=True)
    first = next(answer.iter_content(1 << 16))
    answer.close()
    assert (answer.headers["X-Text-Size"], first[:16]) == (str(500 << 20), b"000000000000 xxx")
    tail = get(plain, f"job/app/1/logText/progressiveText?start={(500 << 20) - 100}").content
    assert tail.endswith(b"\r\nFinished: SUCCESS\r\n")
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def test_it_serves_https_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    context = certificate(tmp_path / "ca.pem")
    with FakeJenkins(tmp_path / "jenkins", tls=context) as fake:
        assert fake.url.startswith("https://")
        options: dict[str, Any] = {"auth": (fake.user, fake.token), "timeout": 10}
        assert requests.get(f"{fake.url}/api/json", verify=str(tmp_path / "ca.pem"), **options).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{fake.url}/api/json", **options)


def certificate(path: Path) -> ssl.SSLContext:
    """Write a self-signed certificate for 127.0.0.1 to `path`; return what a server that has it uses."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "jenkins")])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - timedelta(1), now + timedelta(1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = built.add_extension(names, False).sign(key, hashes.SHA256())
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = path.with_suffix(".key")
    encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write_bytes(key.private_bytes(*encoding))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, private)
    return context


def test_permissions_are_taken_away(plain: FakeJenkins) -> None:
    client = jenkins.Jenkins(plain.url, plain.user, plain.token)
    plain.allow("Overall/Read", "Job/Read")
    assert client.job_exists("app")
    for act in (lambda: client.delete_job("app"), lambda: client.create_job("b", job_xml("")), lambda: client.build_job("app", {"A": "b"})):
        with pytest.raises(jenkins.JenkinsException, match="403"):
            act()
    plain.allow_anonymous()
    plain.allow()
    with pytest.raises(jenkins.JenkinsException, match="403"):
        client.get_info()


def test_a_password_needs_a_crumb_and_its_session(plain: FakeJenkins) -> None:
    session = requests.Session()
    session.auth = (plain.user, plain.password)
    assert session.post(f"{plain.url}/quietDown", timeout=10).status_code == 403
    crumb = session.get(f"{plain.url}/crumbIssuer/api/json", timeout=10).json()
    given = {crumb["crumbRequestField"]: crumb["crumb"]}
    assert session.post(f"{plain.url}/quietDown", headers=given, timeout=10, allow_redirects=False).status_code == 302
    session.cookies.clear()
    assert session.post(f"{plain.url}/quietDown", headers=given, timeout=10).status_code == 403
    session.close()


# -- builds


def test_a_build_is_deleted_and_a_job_renamed_by_hand(plain: FakeJenkins) -> None:
    plain.start_build("app")
    with pytest.raises(Exception, match="while it is building"):
        plain.rename_job("app", "other")
    plain.release("app")
    plain.rename_job("app", "other")
    assert get(plain, "job/other/1/api/json").json()["result"] == "SUCCESS"
    plain.delete_build("other", 1)
    assert (get(plain, "job/other/1/api/json").status_code, plain.build("other")) == (404, None)


def test_builds_end_at_once_with_a_given_result(plain: FakeJenkins) -> None:
    plain.instant("UNSTABLE")
    plain.instant("FAILURE", "bad*")
    plain.add_job("bad-job", job_xml("true"))
    plain.start_build("app")
    plain.start_build("bad-job")
    assert [plain.wait_until_over(job).result for job in ("app", "bad-job")] == ["UNSTABLE", "FAILURE"]


def test_a_build_runs_the_steps_of_its_job_for_real(plain: FakeJenkins) -> None:
    plain.for_real()
    script = "#!/bin/sh\necho $JOB_NAME $BUILD_NUMBER $NODE_NAME $BUILD_URL; printf '\\000\\377\\n'; echo '[torii] not ours'; exit 7"
    plain.add_job("team/real", job_xml("echo first", script, parameters=("TORII_UUID",)))
    plain.start_build("team/real", {"TORII_UUID": "u"})
    build = plain.wait_until_over("team/real")
    log = build.log.read(0, build.log.size)
    assert f"real 1 agent1 {plain.url}/job/team/job/real/1/\n".encode() in log
    assert b"\x00\xff\n" in log
    assert log.endswith(b"Build step 'Execute shell' marked build as failure\nFinished: FAILURE\n")
    assert build.result == "FAILURE"


def test_a_build_stopped_while_it_runs_for_real_is_aborted(plain: FakeJenkins) -> None:
    plain.for_real()
    plain.add_job("long", job_xml("echo begun; exec sleep 300"))
    plain.start_build("long")
    build = plain.wait_for_build("long")
    wait_until(lambda: b"begun\n" in build.log.read(0, build.log.size))
    plain.stop_build("long", 1)
    assert plain.wait_until_over("long").result == "ABORTED"
    assert b"Build was aborted\nAborted by admin\nFinished: ABORTED\n" in build.log.read(0, build.log.size)


def test_a_time_limit_aborts_a_build_and_says_so(plain: FakeJenkins) -> None:
    plain.for_real()
    limit = job_xml("exec sleep 300", parameters=("TORII_UUID", "TORII_TIMEOUT=1"))
    plugin = "hudson.plugins.build__timeout"
    operation = f"{plugin}.operations.WriteDescriptionOperation"
    wrapper = f"<operationList><{operation}><description>Stopped by Torii after 1 minutes</description></{operation}></operationList>"
    wrapper = f"<{plugin}.BuildTimeoutWrapper>{wrapper}</{plugin}.BuildTimeoutWrapper>"
    plain.add_job("slow", limit.replace("<buildWrappers/>", f"<buildWrappers>{wrapper}</buildWrappers>"))
    plain.start_build("slow")
    build = plain.wait_until_over("slow")
    assert (build.result, build.description) == ("ABORTED", "Stopped by Torii after 1 minutes")
    assert b"Build timed out (after 1 minutes). Marking the build as aborted." in build.log.read(0, build.log.size)


def test_without_the_plugin_junit_there_is_no_report(tmp_path: Path) -> None:
    cases = "<testsuite><testcase name='bad'><failure/></testcase></testsuite>"
    with FakeJenkins(tmp_path, plugins={"git": "5"}) as fake:
        fake.add_job("tests", job_xml(f'echo "{cases}" >r.xml', junit="r.xml"))
        fake.start_build("tests")
        assert fake.wait_until_over("tests").result == "SUCCESS"
        assert get(fake, "job/tests/1/testReport/api/json").status_code == 404
        assert [each["shortName"] for each in get(fake, "pluginManager/api/json?depth=2").json()["plugins"]] == ["git"]


# -- Gearman


def test_equal_gearman_jobs_that_wait_become_one_build(fake: FakeJenkins, submit: Callable[..., Heard]) -> None:
    """Two nodes each bring one, and a job that may not run twice at once keeps them waiting in Jenkins' queue."""
    fake.hold()
    fake.add_job("serial", job_xml("true", concurrent=False))
    fake.start_build("serial", {"TORII_UUID": "first"})
    fake.wait_for_build("serial")
    client = [submit(unique, "build:serial", TORII_UUID="same") for unique in ("one", "two")]
    fake.wait(lambda: [len(item.waiters) for item in fake.queue()] == [2])
    fake.release("serial", 1)
    fake.release("serial", 2)
    for heard in client:
        assert heard.over.wait(30)
        assert (heard.kinds, heard.of("complete")["number"]) == (["created", "data", "status", "complete"], 2)


def test_other_words_go_over_the_wire(fake: FakeJenkins, submit: Callable[..., Heard]) -> None:
    class Odd(Words):
        def data(self, facts: dict[str, Any]) -> list[bytes]:
            return [b'{"name": 7}']

        def complete(self, facts: dict[str, Any]) -> list[bytes]:
            return [json.dumps({**facts, "result": "ODD"}).encode(), *super().complete(facts)]

    fake.instant()
    fake.say(Odd())
    heard = submit("u-1")
    assert heard.over.wait(30)
    assert (heard.of("data"), heard.of("complete")["result"]) == ({"name": 7}, "ODD")


@pytest.mark.parametrize("kill", [False, True])
def test_jenkins_ends_in_the_middle_of_a_build(fake: FakeJenkins, submit: Callable[..., Heard], server: GearmanServer, kill: bool) -> None:
    """gearmand gives the job out again, gear's server fails it. What ran has failed, or (SIGKILL) never was; no number comes twice."""
    fake.hold()
    heard = submit("u-1")
    wait_until(lambda: heard.of("status"))
    fake.end(kill)
    with pytest.raises(requests.ConnectionError):
        get(fake, "api/json")
    fake.boot()
    if isinstance(server, EmbeddedServer):
        assert heard.over.wait(30)
        assert heard.kinds == ["created", "data", "status", "fail"]
        submit("u-2")
    build = fake.wait_for_build("app", 2)
    assert get(fake, "job/app/1/api/json").status_code == (404 if kill else 200)
    if not kill:
        assert get(fake, "job/app/1/api/json").json()["result"] == "FAILURE"
    fake.release("app", 2)
    if isinstance(server, Gearmand):
        assert heard.over.wait(30)
        assert [what["number"] for kind, what in heard.packets if kind == "data"] == [1, 2]
    assert build.result == "SUCCESS"


def test_the_gearman_server_is_restarted_in_a_build(fake: FakeJenkins, submit: Callable[..., Heard], server: GearmanServer) -> None:
    """The build runs on and ends; nobody hears of it. Idle workers come back at once, the busy one after its build."""
    fake.hold()
    heard = submit("u-1")
    wait_until(lambda: heard.of("status"))
    server.kill()
    assert wait_until(lambda: heard.kinds[-1] == "lost")
    server.start()
    fake.release("app", 1)
    again = submit("u-2")
    fake.release("app", 2, "UNSTABLE")
    assert again.over.wait(30)
    assert (again.of("complete")["result"], heard.kinds) == ("UNSTABLE", ["created", "data", "status", "lost"])


def test_many_requests_at_once_are_answered(fake: FakeJenkins) -> None:
    failed: list[str] = []

    def ask() -> None:
        with requests.Session() as session:
            session.auth = (fake.user, fake.token)
            for _ in range(25):
                answer = session.get(f"{fake.url}/computer/api/json?tree=computer[displayName]", timeout=20)
                if answer.json()["computer"][1] != {"_class": "hudson.slaves.SlaveComputer", "displayName": "agent1"}:
                    failed.append(answer.text)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert len(fake.requests("computer")) == 200


def test_a_jenkins_may_know_itself_by_another_address(tmp_path: Path) -> None:
    with FakeJenkins(tmp_path, named="https://jenkins.example.com/ci") as fake:
        fake.add_job("app", job_xml("true"))
        assert get(fake, "job/app/api/json?tree=url").json()["url"] == "https://jenkins.example.com/ci/job/app/"
        asked = requests.post(f"{fake.url}/job/app/buildWithParameters", auth=(fake.user, fake.token), timeout=10)
        assert asked.headers["Location"] == "https://jenkins.example.com/ci/queue/item/1/"


def test_a_jenkins_without_an_address_gives_none(tmp_path: Path, server: GearmanServer, submit: Callable[..., Heard]) -> None:
    with FakeJenkins(tmp_path, gearman=[server.address], named=False) as fake:
        fake.add_job("app", job_xml("true"))
        fake.instant()
        heard = submit("u-1")
        assert heard.over.wait(30)
        assert "url" not in heard.of("data")


def test_a_node_comes_later_and_what_waited_for_it_runs(fake: FakeJenkins, submit: Callable[..., Heard]) -> None:
    fake.instant()
    fake.add_job("big", job_xml("true", label="big"))
    waits = fake.start_build("big", {"TORII_UUID": "u-1"})
    gone = fake.start_build("big", {"TORII_UUID": "u-2"})
    assert get(fake, f"queue/item/{waits.id}/api/json").json()["why"] == "There are no nodes with the label \u2018big\u2019"
    fake.cancel(gone.id)
    fake.add_node(FakeNode("agent4", ("big",)))
    assert fake.wait_until_over("big").result == "SUCCESS"
    heard = submit("u-3", "build:big:big")
    assert heard.over.wait(30)
    assert (heard.of("complete")["worker"], heard.of("complete")["number"]) == ("agent4_exec-0", 2)


def test_an_agent_is_killed_in_a_build_that_runs_for_real(fake: FakeJenkins) -> None:
    """The build has failed, and nothing is added to its log when its process ends."""
    fake.add_job("long", job_xml("echo begun; exec sleep 300", label="linux"))
    fake.start_build("long")
    build = fake.wait_for_build("long")
    wait_until(lambda: b"begun\n" in build.log.read(0, build.log.size))
    fake.kill_node("agent1")
    assert (build.result, fake.registered.get("agent1_exec-0")) == ("FAILURE", None)
    wait_until(lambda: not any(thread.name == "fake-jenkins-long-1" for thread in threading.enumerate()))
    assert build.log.read(0, build.log.size).endswith(b"Build step 'Execute shell' marked build as failure\nFinished: FAILURE\n")
    fake.revive_node("agent1")
    assert "build:long" in fake.registered["agent1_exec-0"]


def test_jenkins_job_builder_removes_what_it_no_longer_makes(plain: FakeJenkins, tmp_path: Path) -> None:
    """A job that somebody else made stays, and so does a folder."""
    (tmp_path / "conf").write_text(f"[jenkins]\nurl={plain.url}\nuser={plain.user}\npassword={plain.token}\n")

    def update(*names: str) -> None:
        jobs = "".join(f"- job:\n    name: {name}\n    builders:\n      - shell: make {name}\n" for name in names)
        (tmp_path / "jobs.yaml").write_text(f"- job:\n    name: team\n    project-type: folder\n{jobs}")
        program = Path(sys.executable).with_name("jenkins-jobs")
        options = ["--conf", tmp_path / "conf", "--flush-cache", "update", "--delete-old", tmp_path / "jobs.yaml"]
        done = subprocess.run([program, *options], capture_output=True, text=True, timeout=60, check=False, env={"HOME": str(tmp_path)})
        assert done.returncode == 0, done.stderr

    update("team/one", "two")
    assert sorted(plain.jobs) == ["app", "team", "team/one", "two"]
    update("team/one", "three")
    assert sorted(plain.jobs) == ["app", "team", "team/one", "three"]
