from __future__ import annotations

from pathlib import Path

import pytest

from torii.config.secrets import resolve
from torii.config.server import gate_config, load_server, parse_server
from torii.config.settings import (
    Artifacts,
    ConfigProject,
    DispatchBy,
    GearmanSettings,
    GitConnection,
    JenkinsSettings,
    Network,
    Sandbox,
    Secret,
    ServerConfig,
    StoreSettings,
    WebSettings,
    WorkerSettings,
)
from torii.errors import ConfigurationError, OperatorError
from torii.model.ids import PipelineName, ProjectName
from torii.model.pipeline import ApprovalRule, Cause, Manager, MergeMode, Precedence, ReportRules, Requirements, Trigger, Window

EXAMPLES = Path(__file__).parents[3] / "examples"
HERE = Path("/etc/torii")


def read(text: str) -> ServerConfig:
    parsed = parse_server(text.encode(), "server.yml", HERE)
    assert isinstance(parsed, ServerConfig), "\n".join(map(str, parsed))
    return parsed


def problems(text: str) -> list[str]:
    parsed = parse_server(text.encode(), "server.yml", HERE)
    assert isinstance(parsed, tuple), "no problem was found"
    return [str(problem).removeprefix("server.yml:") for problem in parsed]


def test_without_a_file_the_built_in_pipelines_run_on_this_machine(tmp_path: Path) -> None:
    config = load_server(None, tmp_path / "state")
    check, gate, post = config.pipelines
    assert (check.name, check.manager) == ("check", Manager.INDEPENDENT)
    causes = [Cause.PATCHSET_CREATED, Cause.RESTORED, Cause.RECHECK, Cause.COMMENT_ADDED]
    assert [trigger.cause for trigger in check.triggers] == causes
    assert (gate.name, gate.manager, gate.merges, gate.precedence) == ("gate", Manager.DEPENDENT, True, Precedence.HIGH)
    assert gate.triggers == (Trigger(Cause.APPROVED), Trigger(Cause.COMMENT_ADDED, comment="gate"))
    assert gate.require == Requirements(approved=True)
    assert not gate.report.start
    votes = ReportRules(success=(("Verified", 1),), failure=(("Verified", -1),))
    assert (check.report, gate.report, post.report) == (votes, votes, ReportRules())
    assert (post.name, post.manager, post.trusted, post.precedence) == ("post", Manager.SUPERCEDENT, True, Precedence.LOW)
    assert post.triggers == (Trigger(Cause.BRANCH_UPDATED),)
    assert config.state == tmp_path / "state"
    assert (config.gearman, config.web, config.store, config.worker) == (
        GearmanSettings(),
        WebSettings(),
        StoreSettings(),
        WorkerSettings(),
    )
    assert config.gearman.host == "127.0.0.1"
    assert config.connections == (GitConnection("git"),)
    assert (config.projects, config.mergers, config.unregistered_limit) == ((), 1, 600.0)


def test_the_state_folder_is_beside_the_file_unless_said_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "server.yml"
    file.write_text("# nothing\n")
    assert load_server(file).state == tmp_path / ".torii"
    file.write_text("state: here\n")
    assert load_server(file).state == tmp_path / "here"
    assert load_server(file, tmp_path / "there").state == tmp_path / "there"


def test_every_section_becomes_frozen_values() -> None:
    config = read((EXAMPLES / "server.yml").read_text())
    assert config.state == Path("/var/lib/torii")
    assert config.connections == (
        GitConnection(
            name="forge",
            url="git@git.example.com:",
            poll=10.0,
            timeout=60.0,
            key=Path("/etc/torii/id_ed25519"),
            known_hosts=Path("/etc/torii/known_hosts"),
        ),
        GitConnection(
            name="mirror",
            url="https://git.example.org/team",
            staging="ssh://git@staging.example.org/torii",
            user="torii",
            password=Secret("env:MIRROR_PASSWORD"),
        ),
    )
    app, library, ci_config, site = config.projects
    assert (app.name, app.url, app.staging_url) == ("tools/app", "git@git.example.com:tools/app.git", "git@git.example.com:tools/app.git")
    assert app.spec.merge_mode is MergeMode.REBASE_IF_NECESSARY
    assert (library.url, library.spec.pipelines) == ("git@git.example.com:tools/library", ("check", "gate"))
    assert (site.connection, site.url) == ("mirror", "https://git.example.org/team/site")
    assert site.staging_url == "ssh://git@staging.example.org/elsewhere/site.git"
    assert [pipeline.name for pipeline in config.pipelines] == ["check", "gate", "post", "stable"]
    check, stable = config.pipelines[0], config.pipelines[3]
    assert check.report == ReportRules(start=True, success=(("Verified", 1),), failure=(("Verified", -1),))
    assert stable.triggers == (Trigger(Cause.APPROVED, ("stable/*",)),)
    assert stable.require == Requirements(True, (ApprovalRule("Code-Review", 2),), (ApprovalRule("Code-Review", -2),))
    assert (stable.merges, stable.window, stable.precedence) == (True, Window(10, 2, 50, 1, 2), Precedence.HIGH)
    servers = (("gearman1.example.com", 4730), ("gearman2.example.com", 4730))
    assert config.gearman == GearmanSettings(servers=servers, key=Secret("file:/etc/torii/gearman.key"))
    assert config.web == WebSettings(url="https://torii.example.com")
    assert config.store == StoreSettings(blobs=Path("/var/lib/torii/blobs"))
    workspaces = Path("/var/tmp/torii")
    assert config.worker == WorkerSettings(4, ("linux", "docker"), Sandbox.BUBBLEWRAP, Network.NONE, 100 * 1024**2, workspaces)
    assert (config.mergers, config.unregistered_limit) == (2, 600.0)
    assert config.jenkins == (
        JenkinsSettings(
            name="ci",
            url="https://jenkins.example.com",
            token=Secret("env:JENKINS_TOKEN"),
            ca=Path("/etc/torii/ca.pem"),
            folder="team/torii",
            dispatch=DispatchBy.REST,
            artifacts=Artifacts.LINK,
            owner="torii-main",
            poll=5.0,
            log_limit=50 * 1024**2,
        ),
    )
    assert (app.jenkins, library.jenkins, ci_config.jenkins) == (("ci",), (), ("ci",))
    assert config.config_project == ConfigProject(ProjectName("ci-config"), "main")
    assert (config.pipelines[0].own_jobs, stable.own_jobs) == (True, False)
    assert config.project(ProjectName("site")) is site


def test_the_gate_is_told_of_pipelines_and_projects() -> None:
    config = read("projects: {app: {url: /srv/app.git}}\nlimits: {unregistered: 30s}\n")
    gate = gate_config(config, "k3f9")
    assert (gate.instance, gate.pipelines, gate.unregistered_limit) == ("k3f9", config.pipelines, 30.0)
    assert [project.name for project in gate.projects] == ["app"]


def test_paths_are_relative_to_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/dev")
    config = read(
        "connections: {here: {url: repos, key: ~/id, known-hosts: ../hosts}}\n"
        "projects: {app: {}, lib: {url: ../lib.git, staging: /staging}}\n"
        "gearman: {key: 'file:keys/one'}\nstore: {url: 'sqlite:///db/torii.db', blobs: b}\n"
    )
    (connection,) = config.connections
    assert (connection.url, connection.key, connection.known_hosts) == ("/etc/torii/repos", Path("/home/dev/id"), Path("/etc/hosts"))
    assert [project.url for project in config.projects] == ["/etc/torii/repos/app", "/etc/lib.git"]
    assert config.projects[1].staging_url == "/staging"
    assert config.gearman.key == Secret("file:/etc/torii/keys/one")
    assert config.store == StoreSettings("sqlite:////etc/torii/db/torii.db", Path("/etc/torii/b"))


@pytest.mark.parametrize(
    ("prefix", "whole"),
    [
        ("/srv/git", "/srv/git/app"),
        ("/srv/git/", "/srv/git/app"),
        ("file:///srv/git", "file:///srv/git/app"),
        ("ssh://git@host:2222/x", "ssh://git@host:2222/x/app"),
        ("ssh://git@[::1]:2222/x", "ssh://git@[::1]:2222/x/app"),
        ("git@host:", "git@host:app"),
        ("git@host:group", "git@host:group/app"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/app"),
        ("/srv/my repositories", "/srv/my repositories/app"),
    ],
)
def test_a_projects_address_is_made_of_its_connections(prefix: str, whole: str) -> None:
    assert read(f"connections: {{c: {{url: '{prefix}'}}}}\nprojects: {{app: {{}}}}\n").projects[0].url == whole


def test_the_default_pipelines_can_be_replaced_and_left_out() -> None:
    one = (
        "pipelines: {gate: {manager: serial, triggers: approved, merges: true}, extra: {manager: supercedent, triggers: branch-updated}}\n"
    )
    config = read(one)
    assert [pipeline.name for pipeline in config.pipelines] == ["check", "gate", "post", "extra"]
    assert (config.pipelines[1].manager, config.pipelines[1].merges, config.pipelines[1].require.approved) == (Manager.SERIAL, True, False)
    config = read(one + "default-pipelines: false\n")
    assert [pipeline.name for pipeline in config.pipelines] == ["gate", "extra"]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (EXAMPLES / "wrong" / "many.server.yml").read_text()
    found = problems(text)
    expected = [line.partition("# ")[2] for line in text.splitlines() if "# " in line]
    assert len(found) == len(expected), "\n".join(found)
    for problem, words in zip(found, expected, strict=True):
        assert words in problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a", "1:1 the file must be a mapping"),
        ("connections: {c: {url: 'ext::sh -c touch% /tmp/x'}}", "git's remote helpers (name::address) are not allowed"),
        ("connections: {c: {url: --upload-pack=x}}", "an address cannot start with -"),
        ("connections: {c: {url: 'ssh://-oProxyCommand=x/y'}}", "connections.c.url: "),
        ("connections: {c: {url: 'git@-x:y'}}", "is no address of the form user@host:path"),
        ("connections: {c: {url: 'ssh://host:70000/x'}}", "the port must be from 1 to 65535"),
        ("connections: {c: {url: 'ftp://host/x'}}", 'addresses with "ftp" are not known'),
        ("connections: {c: {url: 'https://bot@host/x'}}", "a user name cannot stand in this address"),
        ('connections: {c: {url: "/a\\nb"}}', "without control characters"),
        ("connections: {c: {url: '~nobody-of-that-name/x'}}", "nobody's home is known by that name"),
        ("connections: {c: {poll: 1ms}}", "connections.c.poll: must be from 50ms to 1d"),
        ("connections: {c: {password: 'env:'}}", "a secret must not stand here itself"),
        ("connections: {c: {user: '-x'}}", "is no legal user name"),
        ("connections: {'a b': {}}", '"a b" is no legal connection name'),
        ("projects: {-x: {url: /x}}", '"-x" is no legal project name'),
        ("projects: {'a b': {url: /x}}", '"a b" is no legal project name'),
        ("projects: {a/../b: {url: /x}}", '"a/../b" is no legal project name'),
        ("projects: {a..b: {url: /x}}", '"a..b" is no legal project name'),
        ("projects: {a//b: {url: /x}}", '"a//b" is no legal project name'),
        ("projects: {a.git: {url: /x}}", '"a.git" is no legal project name'),
        ("projects: {a.lock/b: {url: /x}}", '"a.lock/b" is no legal project name'),
        ('projects: {"a\\nb": {url: /x}}', "is no legal project name"),
        ("projects: {app: {}}", "1:12 projects.app: nothing says where the project is; add url, or give its connection one"),
        ("projects: {app: {url: /x, path: y}}", "projects.app.path: url says where the project is already"),
        ("connections: {c: {url: /x}}\nprojects: {app: {path: ../../etc}}", '"../../etc" is no path of a repository'),
        ("connections: {c: {url: /x}}\nprojects: {app: {path: -x}}", '"-x" is no path of a repository'),
        ("connections: {a: {url: /x}, b: {url: /y}}\nprojects: {app: {}}", "projects.app: does not say which connection: a, b"),
        ("projects: {app: {url: /x}, App: {url: /y}}", 'the project name "App" differs from "app" only in upper and lower case'),
        ("projects: {app: {url: /x}, b: {url: /x.git/}}", 'projects.b: is at the same address as the project "app"'),
        ("default-pipelines: false\nprojects: {a: {url: /x, pipelines: check}}", 'there is no pipeline "check"'),
        ("pipelines: {x: {triggers: approved}}", 'pipelines.x: "manager" is missing'),
        (
            "pipelines: {x: {manager: dependant, triggers: approved}}",
            "manager: must be one of: independent, dependent, serial, supercedent; did",
        ),
        ("pipelines: {x: {manager: serial, triggers: []}}", "pipelines.x.triggers: needs at least one value"),
        ("pipelines: {x: {manager: serial, triggers: aproved}}", 'did you mean "approved"?'),
        ("pipelines: {x: {manager: serial, triggers: approved, strategy: best-first}}", "strategy: must be one of: linear"),
        (
            "pipelines: {x: {manager: independent, triggers: approved, merges: true}}",
            "a pipeline whose manager is independent cannot merge",
        ),
        ("pipelines: {x: {manager: serial, triggers: approved, window: {}}}", "a pipeline whose manager is serial has no window"),
        (
            "pipelines: {x: {manager: dependent, triggers: approved, window: {floor: 30}}}",
            "floor 30, initial 20 and ceiling 200 must not fall",
        ),
        ("pipelines: {x: {manager: dependent, triggers: branch-updated}}", "there is nothing to merge"),
        ("pipelines: {x: {manager: serial, triggers: branch-updated, require: {approved: true}}}", "a branch, which has no votes"),
        ("pipelines: {x: {manager: serial, triggers: approved, reject: {votes: {V: 0}}}}", "a vote of 0 is no vote"),
        (
            "pipelines: {x: {manager: serial, triggers: approved, require: {votes: {V: 1}}, reject: {votes: {V: 1}}}}",
            "require asks for a vote that this keeps out (1)",
        ),
        ("pipelines: {x: {manager: serial, triggers: approved, report: {success: {'a b': 1}}}}", '"a b" is no legal label'),
        ("gearman: {servers: [host:x]}", '"host:x" is no host:port'),
        ("gearman: {servers: ['a:1'], port: 4730}", "gearman.port: is for the embedded server, and servers names others"),
        ("gearman: {host: 'a b'}", '"a b" is no host name'),
        ("web: {url: 'javascript:alert(1)'}", "web.url: is no address of a web page"),
        ("web: {port: -1}", "web.port: must be at least 0"),
        ("store: {url: 'postgresql://torii:swordfish@db/torii'}", "this version of Torii keeps its store in SQLite only"),
        ("worker: {log-limit: 1K}", "worker.log-limit: must be from 64KiB to 100GiB"),
        ("worker: {log-limit: big}", '"big" is no size'),
        ("worker: {labels: [a b]}", '"a b" is no legal node label'),
        ("mergers: 1000", "mergers: must be at most 64"),
        ("limits: {unregistered: 0}", "limits.unregistered: must be from 1s to 7d"),
        ("state:", "state: has no value; give one, or remove the key"),
    ],
)
def test_a_mistake_is_located_and_put_into_words(text: str, problem: str) -> None:
    assert any(problem in found for found in problems(text)), problems(text)


def test_no_problem_shows_a_secret() -> None:
    assert not [found for found in problems((EXAMPLES / "wrong" / "many.server.yml").read_text()) if "swordfish" in found]


def test_loading_a_wrong_or_missing_file_says_everything(tmp_path: Path) -> None:
    file = tmp_path / "server.yml"
    with pytest.raises(ConfigurationError, match="No such file"):
        load_server(file)
    with pytest.raises(ConfigurationError, match="Is a directory"):
        load_server(tmp_path)
    file.write_text("mergers: x\nstat: y\n")
    with pytest.raises(ConfigurationError) as raised:
        load_server(file)
    assert str(raised.value).splitlines() == [
        f'{file}:1:10 mergers: must be a whole number, not "x"',
        f'{file}:2:1 stat: unknown key; did you mean "state"?',
    ]


def test_a_secret_is_read_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SECRET", "open sesame")
    assert resolve(Secret("env:TEST_SECRET")) == "open sesame"
    file = tmp_path / "secret"
    file.write_text("open sesame\n")
    assert resolve(Secret(f"file:{file}")) == "open sesame"


def test_a_missing_secret_is_the_operators_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_SECRET", raising=False)
    with pytest.raises(OperatorError, match="set the environment variable TEST_SECRET"):
        resolve(Secret("env:TEST_SECRET"))
    file = tmp_path / "secret"
    with pytest.raises(OperatorError, match="cannot be read: No such file"):
        resolve(Secret(f"file:{file}"))
    file.write_bytes(b"\n")
    with pytest.raises(OperatorError, match="is empty"):
        resolve(Secret(f"file:{file}"))
    file.write_bytes(b"\xff")
    with pytest.raises(OperatorError, match="not UTF-8"):
        resolve(Secret(f"file:{file}"))
    with pytest.raises(OperatorError, match="no reference"):
        resolve(Secret("swordfish"))


def test_a_pipeline_that_takes_changes_by_name_takes_them_as_pipeline_names() -> None:
    config = read("projects: {a: {url: /x, pipelines: gate}}")
    assert config.projects[0].spec.pipelines == (PipelineName("gate"),)
