"""Whatever stands in a file, it is read or refused with located problems; and what Torii takes, an editor takes too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from torii.config.effective import Effective
from torii.config.project import parse_torii_yml
from torii.config.schema import server_schema, torii_schema
from torii.config.server import parse_server
from torii.model.job import ProjectConfig
from torii.model.pipeline import Cause

_TORII = jsonschema.Draft202012Validator(torii_schema())
_SERVER = jsonschema.Draft202012Validator(server_schema())

_NAMES = st.sampled_from(["a", "b", "unit", "lint", "a-1", "A", "../x", "x y", "1"])
_LEAVES = st.one_of(
    _NAMES,
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([3.10, "", "30m", "src/**", "[a", "/x", "../x", "yes", "env:A", "approved", "git", "squash", "https://h/x", "10MiB"]),
    st.text(max_size=5),
)


def _mappings(keys: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from([*keys, "other"]), values, max_size=5)


def _values(keys: list[str]) -> st.SearchStrategy[Any]:
    return st.recursive(_LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=3), _mappings(keys, inner)), max_leaves=8)


_JOB_KEYS = ["run", "needs", "environment", "timeout", "attempts", "voting", "when", "reports", "artifacts", "matrix"]
_INNER = ["label", "image", "variables", "files", "branches", "junit", "coverage", "comments", "job", "soft"]
_GOOD_JOBS = st.fixed_dictionaries(
    {"run": st.just("x")},
    optional={
        "needs": st.lists(_NAMES, max_size=2),
        "timeout": st.sampled_from([1, "30m"]),
        "matrix": st.dictionaries(_NAMES, st.lists(st.sampled_from([3.10, "x", 1, True]), min_size=1, max_size=3), max_size=2),
        "when": _mappings(["files", "branches"], st.sampled_from(["src/**", ["a", "b"]])),
    },
)
_JOBS = st.dictionaries(_NAMES, st.one_of(_GOOD_JOBS, _mappings(_JOB_KEYS, _values(_INNER))), max_size=4)
_PIPELINES = st.dictionaries(st.sampled_from(["check", "gate"]), st.lists(_NAMES, max_size=3), max_size=2)
_TORII_FILES = st.fixed_dictionaries({}, optional={"queue": _LEAVES, "jobs": _JOBS, "pipelines": _PIPELINES})

_SERVER_KEYS = [
    "state",
    "connections",
    "projects",
    "default-pipelines",
    "pipelines",
    "gearman",
    "web",
    "store",
    "worker",
    "mergers",
    "limits",
]
_SERVER_INNER = ["url", "path", "connection", "merge", "manager", "triggers", "merges", "host", "port", "servers", "key", "labels", "type"]
_SERVER_FILES = _mappings(_SERVER_KEYS, _values(_SERVER_INNER))

_GLOBS = st.sampled_from(["a*", "*@example.com", ["x", "y?"], []])
_AGES = st.sampled_from([60, "2h", "3d"])
_VOTE = st.one_of(
    st.integers(-2, 2),
    st.fixed_dictionaries(
        {}, optional={"value": st.integers(-2, 2), "users": _GLOBS, "groups": _GLOBS, "older-than": _AGES, "newer-than": _AGES}
    ),
)
_VOTES = st.dictionaries(
    st.sampled_from(["Code-Review", "Verified"]), st.one_of(_VOTE, st.lists(_VOTE, min_size=1, max_size=2)), max_size=2
)
_NAMED = {"topics": _GLOBS, "hashtags": _GLOBS}
_TRIGGERS = st.one_of(
    st.sampled_from([cause.value for cause in Cause]),
    st.fixed_dictionaries(
        {"cause": st.sampled_from([cause.value for cause in Cause])},
        optional={"comment": st.sampled_from(["recheck", "a(b)?", "("]), "votes": _VOTES, "files": _GLOBS, "users": _GLOBS, **_NAMED},
    ),
)
_HELD = {"votes": _VOTES, "wip": st.booleans(), "private": st.booleans(), "owners": _GLOBS, **_NAMED}
_GERRITS = st.fixed_dictionaries(
    {"type": st.just("gerrit"), "url": st.sampled_from(["https://h", "http://h:1/g/", "h"]), "password": st.just("env:P")},
    optional={
        "events": st.sampled_from(["stream", "both", "webhooks", "catch-up"]),
        "webhook-secret": st.sampled_from(["env:W", "file:w", "w"]),
        "ssh": st.sampled_from(["h", "h:22", "[::1]:22", {"host": "h"}, {"port": 1}, {}, ["h"]]),
        "git": st.sampled_from(["http", "ssh"]),
        "user": st.sampled_from(["ci", "ci@h"]),
        "staging": st.sampled_from(["/s", "ssh://git@h/s", "git@h:"]),
        "ignore": _GLOBS,
        "first-look": st.sampled_from([0, "1d", "1y"]),
        "ca": st.just("ca.pem"),
    },
)
_GERRIT_FILES = st.fixed_dictionaries(
    {
        "connections": st.dictionaries(st.sampled_from(["r", "s"]), _GERRITS, min_size=1, max_size=2),
        "projects": st.dictionaries(
            st.sampled_from(["p", "q/r"]),
            st.fixed_dictionaries({}, optional={"connection": st.sampled_from(["r", "s"]), "path": st.sampled_from(["a/b", "c.git"])}),
            max_size=2,
        ),
        "pipelines": st.dictionaries(
            st.sampled_from(["check", "more"]),
            st.fixed_dictionaries(
                {"manager": st.just("independent"), "triggers": st.one_of(_TRIGGERS, st.lists(_TRIGGERS, min_size=1, max_size=3))},
                optional={
                    "require": st.fixed_dictionaries({}, optional={"approved": st.booleans(), **_HELD}),
                    "reject": st.fixed_dictionaries({}, optional=_HELD),
                },
            ),
            max_size=2,
        ),
    }
)


def _located(problems: Any, text: str) -> None:
    lines = text.split("\n")
    assert problems
    assert list(problems) == sorted(problems, key=lambda problem: (problem.line, problem.column, problem.path, problem.message))
    for problem in problems:
        assert problem.message
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for parsed in (parse_torii_yml(data), parse_server(data, "server.yml", Path("/"))):
        assert parsed


@given(
    st.lists(
        st.sampled_from(["jobs", "a", ":", " ", "\n", "- ", "{", "}", "[", "]", ",", "&x", "*x", "<<", "!t", "'", '"', "|", "#", "?", "  "])
    )
)
def test_any_signs_of_yaml_are_read_or_refused_at_a_place(tokens: list[str]) -> None:
    text = "".join(tokens)
    parsed = parse_torii_yml(text.encode())
    if isinstance(parsed, tuple):
        _located(parsed, text)


@given(_TORII_FILES)
def test_what_torii_takes_an_editor_takes(document: Any) -> None:
    text = json.dumps(document, indent=1)
    parsed = parse_torii_yml(text.encode())
    if isinstance(parsed, ProjectConfig):
        assert [error.message for error in _TORII.iter_errors(document)] == []
        names = [job.name for job in parsed.jobs]
        assert len({name.lower() for name in names}) == len(names)
        assert all(need.job in names for job in parsed.jobs for need in job.needs)
        assert all(job in names for _, jobs in parsed.pipelines for job in jobs)
        assert parse_torii_yml(text.encode()) == parsed
    else:
        _located(parsed, text)


@given(_SERVER_FILES)
def test_what_the_server_takes_an_editor_takes(document: Any) -> None:
    text = json.dumps(document, indent=1)
    parsed = parse_server(text.encode(), "server.yml", Path("/"))
    if isinstance(parsed, tuple):
        _located(parsed, text)
    else:
        assert [error.message for error in _SERVER.iter_errors(document)] == []


@given(_GERRIT_FILES)
def test_of_any_gerrit_an_editor_takes_what_torii_takes_and_what_is_shown_says_the_same(document: Any) -> None:
    text = json.dumps(document, indent=1)
    parsed = parse_server(text.encode(), "server.yml", Path("/"))
    if isinstance(parsed, tuple):
        _located(parsed, text)
    else:
        assert [error.message for error in _SERVER.iter_errors(document)] == []
        shown = "\n".join(Effective(parsed, text.encode()).lines())
        assert parse_server(shown.encode(), "shown.yml", Path("/elsewhere")) == parsed
