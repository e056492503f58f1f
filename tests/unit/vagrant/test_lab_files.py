"""The lab's files say what they must, agree with each other, and leave nothing to chance that can be pinned."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from torii.config.project import parse_torii_yml
from torii.jenkins import permissions
from torii.jobs import plugins
from torii.model.job import ProjectConfig

LAB = Path(__file__).resolve().parents[3] / "vagrant"
STEPS = sorted((LAB / "provision").glob("[0-9]*.sh"))
SCRIPTS = [*STEPS, LAB / "provision" / "common.sh"]
TEMPLATES = [LAB / "gerrit" / "gerrit.config", LAB / "torii" / "server.yml", *sorted((LAB / "systemd").iterdir())]
CASC: dict[str, Any] = yaml.safe_load((LAB / "jenkins" / "casc.yaml").read_text())

SETTING = re.compile(r': "\$\{([A-Z0-9_]+):=(.*)\}"')


def settings() -> dict[str, str]:
    """Return versions.env, each value as the shell has it."""
    script = '. "$0"; set'
    command = ["sh", "-c", script, str(LAB / "versions.env")]
    said = subprocess.run(command, env={}, capture_output=True, text=True, timeout=10, check=True).stdout
    names = {match[1] for match in map(SETTING.fullmatch, (LAB / "versions.env").read_text().splitlines()) if match}
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in said.splitlines()) if name in names}


def plugin_versions() -> dict[str, str]:
    lines = (LAB / "jenkins" / "plugins.txt").read_text().splitlines()
    return dict(line.split(":") for line in lines if line and not line.startswith("#"))


# ---- versions ------------------------------------------------------------------------------------------------------------------


def test_every_line_of_versions_env_is_a_default_that_shell_and_ruby_read() -> None:
    lines = [line for line in (LAB / "versions.env").read_text().splitlines() if line and not line.startswith("#")]

    assert [line for line in lines if not SETTING.fullmatch(line)] == []
    assert len({SETTING.fullmatch(line)[1] for line in lines}) == len(lines)  # type: ignore[index] # looked at above


def test_what_comes_from_elsewhere_comes_over_https_and_is_checked() -> None:
    said = settings()

    assert all(value.startswith("https://") for name, value in said.items() if name.endswith(("_URL", "_REPOSITORY")))
    assert re.fullmatch("[0-9a-f]{64}", said["GERRIT_WAR_SHA256"])
    assert all(re.fullmatch("[0-9A-F]{40}", value) for name, value in said.items() if name.endswith("_FINGERPRINT"))
    assert said["GERRIT_VERSION"] in said["GERRIT_WAR_URL"]
    assert "latest" not in " ".join(said.values())


def test_every_setting_is_used_by_a_step_a_template_or_the_machine() -> None:
    texts = "".join(path.read_text() for path in [*SCRIPTS, *TEMPLATES, LAB / "Vagrantfile", LAB / "versions.env"])

    assert [name for name in settings() if len(re.findall(rf"\b{name}\b", texts)) < 2] == []


def test_every_plugin_is_pinned_once() -> None:
    lines = [line for line in (LAB / "jenkins" / "plugins.txt").read_text().splitlines() if line and not line.startswith("#")]

    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+:\d[\w.]*", line)] == []
    assert len(plugin_versions()) == len(lines)


def test_jenkins_has_the_plugins_that_jobs_and_dispatch_and_casc_need() -> None:
    there = plugin_versions()

    assert {part.plugin for part in plugins.PARTS} <= there.keys()
    assert {"gearman-plugin", "configuration-as-code", "matrix-auth", "ssh-slaves", "ssh-credentials"} <= there.keys()


# ---- the steps -----------------------------------------------------------------------------------------------------------------


def test_steps_are_executable_posix_shell() -> None:
    assert [path.name for path in STEPS if not path.stat().st_mode & 0o111] == []
    assert {path.read_text().splitlines()[0] for path in STEPS} == {"#!/bin/sh"}


@pytest.mark.needs("shellcheck")
def test_shellcheck_finds_nothing() -> None:
    done = subprocess.run(["shellcheck", "-x", *map(str, SCRIPTS)], capture_output=True, text=True, timeout=100, check=False)

    assert done.returncode == 0, done.stdout


def test_nothing_is_piped_into_put_which_would_not_see_that_it_changed_something() -> None:
    assert [path.name for path in SCRIPTS if re.search(r"(?<!\|)\|\s*put\b", path.read_text())] == []


def test_what_templates_ask_for_is_set_by_versions_env_or_common_sh() -> None:
    common = (LAB / "provision" / "common.sh").read_text()
    there = {*settings(), *re.findall(r'^: "\$\{([A-Z_]+):=', common, re.MULTILINE)}

    asked = {name for path in TEMPLATES for name in re.findall("@([A-Z_]+)@", path.read_text())}
    assert asked - there == set()


def test_no_address_of_a_registry_but_the_official_ones_is_written_down() -> None:
    text = "".join(
        path.read_text(errors="replace")
        for path in LAB.rglob("*")
        if path.is_file() and ".vagrant" not in path.parts and path.suffix != ".md"
    )

    hosts = set(re.findall(r"https?://([\w.-]+\.[a-z]{2,})", text))
    assert hosts <= {
        "packages.adoptium.net",
        "gerrit-releases.storage.googleapis.com",
        "pkg.jenkins.io",
        "github.com",
    }


# ---- Jenkins as code -----------------------------------------------------------------------------------------------------------

# What casc.yaml may say: the keys of Jenkins and its plug-ins as their own documentation has them. None: any value.
AGENT = {
    "name": str,
    "nodeDescription": str,
    "labelString": str,
    "mode": {"NORMAL", "EXCLUSIVE"},
    "numExecutors": int,
    "remoteFS": str,
    "retentionStrategy": {"always"},
    "launcher": {
        "ssh": {
            "host": str,
            "port": int,
            "credentialsId": str,
            "launchTimeoutSeconds": int,
            "maxNumRetries": int,
            "retryWaitTime": int,
            "sshHostKeyVerificationStrategy": {"manuallyProvidedKeyVerificationStrategy": {"key": str}},
        }
    },
}
USER_KEY = {
    "scope": {"SYSTEM"},
    "id": str,
    "username": str,
    "description": str,
    "privateKeySource": {"directEntry": {"privateKey": str}},
}
SCHEMA: dict[str, Any] = {
    "jenkins": {
        "systemMessage": str,
        "mode": {"NORMAL", "EXCLUSIVE"},
        "numExecutors": int,
        "securityRealm": {"local": {"allowsSignup": bool, "users": [{"id": str, "name": str, "password": str}]}},
        "authorizationStrategy": {"globalMatrix": {"entries": [{"user": str, "permissions": [str]}]}},
        "crumbIssuer": {"standard": {"excludeClientIPFromCrumb": bool}},
        "markupFormatter": {"rawHtml": {"disableSyntaxHighlighting": bool}},
        "nodes": [{"permanent": AGENT}],
    },
    "credentials": {"system": {"domainCredentials": [{"credentials": [{"basicSSHUserPrivateKey": USER_KEY}]}]}},
    "unclassified": {
        "location": {"url": str, "adminAddress": str},
        "gearmanPluginConfig": {"enablePlugin": bool, "host": str, "port": str},
    },
}


def amiss(value: Any, schema: Any, path: str = "") -> list[str]:
    """Return where `value` is not as `schema` has it: mappings key by key, lists item by item, a type, or one of some words."""
    match schema:
        case dict():
            if not isinstance(value, dict):
                return [f"{path}: no mapping"]
            unknown = [f"{path}/{key}: unknown" for key in value if key not in schema]
            return unknown + [each for key in value if key in schema for each in amiss(value[key], schema[key], f"{path}/{key}")]
        case [item]:
            if not isinstance(value, list):
                return [f"{path}: no list"]
            return [each for place, one in enumerate(value) for each in amiss(one, item, f"{path}/{place}")]
        case set():
            return [] if value in schema else [f"{path}: {value!r}"]
        case _:
            return [] if type(value) is schema else [f"{path}: {value!r} is no {schema.__name__}"]


def test_casc_yaml_has_only_keys_that_jenkins_knows() -> None:
    assert amiss(CASC, SCHEMA) == []


def test_the_schema_would_find_a_slip() -> None:
    slip = {"jenkins": {"numExecutor": 0, "mode": "BOTH"}, "unclassified": {"location": {"url": 1}}}

    assert amiss(slip, SCHEMA) == ["/jenkins/numExecutor: unknown", "/jenkins/mode: 'BOTH'", "/unclassified/location/url: 1 is no str"]


def test_anonymous_may_read_jobs_and_nothing_more() -> None:
    assert matrix()["anonymous"] == {"Overall/Read", "Job/Read"}


def test_torii_may_do_what_the_product_says_it_needs_and_administers_nothing() -> None:
    allowed = matrix()["torii"]

    assert set(permissions.ALL) <= allowed
    assert "Overall/SystemRead" in allowed
    assert "Overall/Administer" not in allowed
    assert "jenkins.security.SystemReadPermission=true" in (LAB / "systemd" / "jenkins.conf").read_text()


def test_there_are_two_agents_and_nothing_is_built_beside_jenkins_own_files() -> None:
    assert [agent["name"] for agent in agents()] == ["agent1", "agent2"]
    assert len({agent["remoteFS"] for agent in agents()}) == 2
    assert CASC["jenkins"]["numExecutors"] == 0


def test_every_name_in_casc_yaml_is_given_to_jenkins() -> None:
    text = (LAB / "jenkins" / "casc.yaml").read_text()
    step = (LAB / "provision" / "50-jenkins.sh").read_text()
    unit = (LAB / "systemd" / "jenkins.conf").read_text()

    asked = set(re.findall(r"\$\{([A-Z_]+)\}", "\n".join(line for line in text.splitlines() if not line.startswith("#"))))
    secrets = set(re.findall(r"\b([A-Z][A-Z_]+)$", step, re.MULTILINE)) | set(re.findall(r"secrets/([A-Z_]+)", step))
    variables = set(re.findall(r'^Environment="(\w+)=', unit, re.MULTILINE))
    assert asked - secrets - variables == set()
    assert set(re.findall(r"readFile:/etc/jenkins-lab/secrets/(\w+)", text)) <= secrets


def test_no_secret_stands_in_casc_yaml() -> None:
    users = CASC["jenkins"]["securityRealm"]["local"]["users"]

    assert all(re.fullmatch(r"\$\{[A-Z_]+\}", user["password"]) for user in users)
    assert "PRIVATE KEY" not in (LAB / "jenkins" / "casc.yaml").read_text()


def matrix() -> dict[str, set[str]]:
    entries = CASC["jenkins"]["authorizationStrategy"]["globalMatrix"]["entries"]
    return {entry["user"]: set(entry["permissions"]) for entry in entries}


def agents() -> list[dict[str, Any]]:
    return [node["permanent"] for node in CASC["jenkins"]["nodes"]]


# ---- the sample ----------------------------------------------------------------------------------------------------------------


def test_the_samples_torii_yml_is_right_and_some_agent_has_each_label() -> None:
    found = parse_torii_yml((LAB / "sample" / "torii.yml").read_bytes())
    assert isinstance(found, ProjectConfig)

    labels = {job["environment"]["label"] for job in sample_jobs().values() if "environment" in job}
    assert labels
    assert labels <= {label for agent in agents() for label in agent["labelString"].split()}


def sample_jobs() -> dict[str, dict[str, Any]]:
    jobs: dict[str, dict[str, Any]] = yaml.safe_load((LAB / "sample" / "torii.yml").read_text())["jobs"]
    return jobs
