from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from torii.config.cache import ConfigCache
from torii.config.project import parse_torii_yml
from torii.model.glob import compile_glob
from torii.model.ids import PipelineName
from torii.model.job import ConfigProblem, JobReports, Need, ProjectConfig

EXAMPLES = Path(__file__).parents[3] / "examples"


def read(text: str) -> ProjectConfig:
    parsed = parse_torii_yml(text.encode())
    assert isinstance(parsed, ProjectConfig), "\n".join(map(str, parsed))
    return parsed


def problems(text: str | bytes) -> list[str]:
    parsed = parse_torii_yml(text if isinstance(text, bytes) else text.encode())
    assert isinstance(parsed, tuple), "no problem was found"
    assert all(isinstance(problem, ConfigProblem) for problem in parsed)
    return [str(problem).removeprefix("torii.yml:") for problem in parsed]


def test_every_key_becomes_a_frozen_value() -> None:
    text = (EXAMPLES / "torii.yml").read_bytes()
    config = read(text.decode())
    assert config.digest == hashlib.sha256(text).hexdigest()
    assert config.queue == "integrated"
    assert [job.name for job in config.jobs] == ["lint", "unit-3.10", "unit-3.11", "unit-3.12", "docs", "publish"]
    unit = config.jobs[1]
    assert unit.run == 'tox -e "py$python" -- --junitxml=report.xml\n'
    assert unit.needs == (Need("lint"),)
    assert (unit.label, unit.image) == ("linux", "python:3.12")
    assert unit.variables == (("LANG", "C.UTF-8"), ("PIP_NO_INPUT", "1"), ("python", "3.10"))
    assert (unit.timeout, unit.attempts, unit.voting) == (1800, 3, True)
    assert unit.files == ("src/**", "tests/**", "torii.yml")
    assert unit.branches == ("main", "stable/*")
    assert unit.reports == JobReports(("report.xml",), "coverage.xml", "comments.json")
    assert unit.artifacts == ("dist/*",)
    docs = config.job("docs")
    assert docs is not None
    assert docs.needs == (Need("unit-3.10", True), Need("unit-3.11", True), Need("unit-3.12", True))
    assert docs.files == ("docs/**",)
    publish = config.job("publish")
    assert publish is not None
    assert publish.timeout == 5400
    assert config.pipelines == (
        (PipelineName("check"), ("lint", "unit-3.10", "unit-3.11", "unit-3.12", "docs")),
        (PipelineName("gate"), ("lint", "unit-3.10", "unit-3.11", "unit-3.12")),
        (PipelineName("post"), ("publish",)),
    )


def test_all_text_is_of_the_very_type_str() -> None:
    config = read((EXAMPLES / "torii.yml").read_text())
    texts = [config.queue, *(name for name, jobs in config.pipelines for name in (name, *jobs))]
    for job in config.jobs:
        texts += [
            job.name,
            job.run,
            job.label,
            job.image,
            *job.files,
            *job.branches,
            *job.artifacts,
            *job.reports.junit,
            job.reports.coverage,
        ]
        texts += [text for pair in job.variables for text in pair] + [need.job for need in job.needs]
    assert {type(text) for text in texts} == {str, type(None)}


@pytest.mark.parametrize("name", ["torii.yml", "small.torii.yml", "shared.torii.yml"])
def test_the_examples_are_right(name: str) -> None:
    read((EXAMPLES / name).read_text())


def test_merge_keys_bring_in_what_a_job_does_not_say_itself() -> None:
    config = read((EXAMPLES / "shared.torii.yml").read_text())
    assert [job.name for job in config.jobs] == [
        "build",
        "test-debug-address",
        "test-debug-undefined-behaviour",
        "test-release-address",
        "test-release-undefined-behaviour",
        "benchmark",
    ]
    assert {job.image for job in config.jobs} == {"registry.example.com/team/cpp:13"}
    assert config.jobs[2].run.startswith("ctest")
    assert config.jobs[2].variables == (("mode", "debug"), ("sanitizer", "undefined behaviour"))
    assert config.jobs[-1].needs == (Need("test-release-address"),)


def test_text_is_what_stands_in_the_file_quoted_or_not() -> None:
    variables = "{A: 3.10, B: yes, C: 0755, D: 1:30, E: 2026-11-01, F: '1.0', G: true, H: \"\", I: 1_000, J: 0x1F, K: Off}"
    (job,) = read(f"jobs: {{a: {{run: true, environment: {{variables: {variables}}}}}}}").jobs
    assert job.run == "true"
    assert dict(job.variables) == {
        "A": "3.10",
        "B": "yes",
        "C": "0755",
        "D": "1:30",
        "E": "2026-11-01",
        "F": "1.0",
        "G": "true",
        "H": "",
        "I": "1_000",
        "J": "0x1F",
        "K": "Off",
    }


@pytest.mark.parametrize(("given", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1d", 86400), ("'2m'", 120)])
def test_durations_are_read(given: str, seconds: int) -> None:
    assert read(f"jobs: {{a: {{run: x, timeout: {given}}}}}").jobs[0].timeout == seconds


def test_a_mistake_is_told_as_the_page_promises() -> None:
    text = "jobs:\n" + "\n" * 11 + "  unit:\n    votng: true\n    run: x\n"
    assert problems(text) == ['14:5 jobs.unit.votng: unknown key; did you mean "voting"?']


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (EXAMPLES / "wrong" / "many.torii.yml").read_text()
    found = problems(text)
    expected = [line.partition("# ")[2] for line in text.splitlines() if "# " in line]
    assert len(found) == len(expected)
    for problem, words in zip(found, expected, strict=True):
        assert words in problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1 the file is empty"),
        ("# only a comment\n", "1:1 the file is empty"),
        ("---\n...\n", "1:1 the file is empty"),
        ("- a\n", "1:1 the file must be a mapping of keys to values, not a list"),
        ("\n  just text\n", "2:3 the file must be a mapping of keys to values, not text"),
        ("jobs: {}\n---\njobs: {}\n", "2:1 a second document starts here"),
        ("jobs:\n\ta: 1\n", "2:1 not YAML: a tab cannot indent YAML; use spaces"),
        ("jobs: {a: {run: 'x}}\n", "not YAML: a quote or bracket is not closed"),
        ("jobs: {a: {run: x}\n", "not YAML: a , or a closing bracket is missing"),
        ("jobs:\n  a:\n    run: x\n   timeout: 3m\n", "4:4 not YAML: this does not fit what stands above it"),
        ("jobs:\n  a: b: c\n", "2:7 not YAML: a : cannot stand here"),
        ("queue: @x\n", "1:8 not YAML: a value cannot start with this character; quote the text"),
        ("queue: a\nqueue: b\n", "2:1 queue: the key is given twice, first in line 1; keep one"),
        ("jobs:\n  a: {run: x, run: y}\n", "2:15 jobs.a.run: the key is given twice, first in line 2; keep one"),
        ("queue: !!str x\n", '1:8 queue: YAML tags are not allowed: "tag:yaml.org,2002:str"; remove the tag'),
        ("jobs: !!python/object:os.system {}\n", "1:7 jobs: YAML tags are not allowed"),
        ("jobs: *nowhere\n", "1:7 jobs: the alias *nowhere has no anchor &nowhere before it"),
        ("jobs: &a {b: *a}\n", "1:14 jobs.b: the alias *a stands inside of what it names"),
        ("jobs: {<<: 3}\n", "jobs: << merges mappings only"),
        ("? [a, b]\n: c\n", "1:3 a key must be text, not a list or a mapping"),
        ("{{ x }}: 1\n", "a key must be text, not a list or a mapping; is a { or [ meant as text? quote it"),
        ("jobs: " + "[" * 30 + "]" * 30, "nested more than 20 deep"),
        ("jobs: 3\n", "1:7 jobs: must be a mapping of keys to values, not text"),
        ("jobs:\n", "1:1 jobs: must be a mapping of keys to values, not empty"),
        ("jobs: {a: }\n", "1:8 jobs.a: must be a mapping of keys to values, not empty"),
        ("jobs: {a: {}}\n", '1:8 jobs.a: "run" is missing'),
        ("jobs: {a: {run: ' '}}\n", "1:17 jobs.a.run: is empty: give the commands to run"),
        ("jobs: {a: {run: [x]}}\n", "1:17 jobs.a.run: must be text, not a list"),
        ("jobs: {a: {run: x, cache: {}}}\n", "jobs.a.cache: unknown key: this version of Torii does not have it yet; remove it"),
        ("jobs: {a: {run: x, secrets: [y]}}\n", "jobs.a.secrets: unknown key: this version of Torii does not have it yet; remove it"),
        ("jobs: {a: {run: x, voting: yes}}\n", '1:28 jobs.a.voting: must be true or false, not "yes"; write true'),
        ("jobs: {a: {run: x, attempts: 0}}\n", "1:30 jobs.a.attempts: must be at least 1"),
        ("jobs: {a: {run: x, attempts: '3'}}\n", 'jobs.a.attempts: must be a whole number, not "3"; remove the quotes'),
        ("jobs: {a: {run: x, attempts: 1.5}}\n", 'jobs.a.attempts: must be a whole number, not "1.5"'),
        ("jobs: {a: {run: x, timeout: 30 min}}\n", 'jobs.a.timeout: "30 min" is no duration; write it like 90s, 30m or 1h30m'),
        ("jobs: {a: {run: x, timeout: 0}}\n", "jobs.a.timeout: must be from 1s to 7d"),
        ("jobs: {a: {run: x, environment: {label: }}}\n", "jobs.a.environment.label: has no value; give one, or remove the key"),
        ("jobs: {a: {run: x, environment: {label: a b}}}\n", 'jobs.a.environment.label: "a b" is no legal node label'),
        ("jobs: {a: {run: x, environment: {image: -v/:/host}}}\n", "is no container image"),
        ("jobs: {a: {run: x, environment: {variables: {A: }}}}\n", 'variables.A: has no value; for an empty text write ""'),
        ("jobs: {a: {run: x, environment: {variables: {a-b: 1}}}}\n", '"a-b" is no legal variable name'),
        ("jobs: {a: {run: x, environment: {variables: {TORII_URL: 1}}}}\n", "variables that start with TORII_ are Torii's own"),
        ("jobs: {a: {run: x, when: {files: ['[a']}}}\n", 'jobs.a.when.files[0]: "[a": a [ has no ]'),
        ("jobs: {a: {run: x, artifacts: [../../etc/passwd]}}\n", "must not leave the workspace by .."),
        ("jobs: {a: {run: x, artifacts: /etc/passwd}}\n", "must be relative to the workspace"),
        ("jobs: {a: {run: x, reports: {junit: 'a,b'}}}\n", 'jobs.a.reports.junit: "a,b": "," cannot stand here'),
        ("jobs: {a: {run: x, artifacts: ./dist}}\n", '"./dist" has an empty part or a .; write it without ./'),
        ("jobs: {a: {run: x, artifacts: dist/**.whl}}\n", "** must stand alone between slashes"),
        ("jobs: {'../a': {run: x}}\n", '1:8 jobs."../a": "../a" is no legal job name'),
        ("jobs: {'-rf': {run: x}}\n", '"-rf" is no legal job name'),
        ("jobs: {'a\\nb': {run: x}}\n", "is no legal job name"),
        ("jobs: {a;b: {run: x}}\n", '"a;b" is no legal job name'),
        ("queue: 'a b'\n", 'queue: "a b" is no legal queue name'),
        ("pipelines: {'a b': []}\n", 'pipelines."a b": "a b" is no legal pipeline name'),
        ("jobs: {lint: {run: x}}\npipelines: {check: [lnt]}\n", '2:21 pipelines.check[0]: there is no job "lnt"; did you mean "lint"?'),
        ("jobs: {a: {run: x, needs: b}}\n", '1:27 jobs.a.needs: there is no job "b"'),
        ("jobs: {a: {run: x, needs: a}}\n", 'jobs.a.needs: "a" needs itself; remove one of these needs'),
        ("jobs: {a: {run: x, needs: b}, b: {run: x, needs: [{job: a, soft: true}]}}\n", "jobs.b.needs[0].job: a circle: a -> b -> a"),
        ("jobs: {a: {run: x}, b: {run: x, needs: [a, a]}}\n", 'jobs.b.needs[1]: "a" is named twice here'),
        ("jobs: {a: {run: x}}\npipelines: {check: [a, a]}\n", 'pipelines.check[1]: "a" is named twice here'),
        (
            "jobs: {a: {run: x}, b: {run: x, needs: a}}\npipelines: {gate: b}\n",
            '"b" needs "a", which this pipeline does not run; add "a", or make',
        ),
        ("jobs: {Unit: {run: x}, unit: {run: x}}\n", 'the job name "unit" is taken by "Unit"; names must differ in more'),
        ("jobs: {a: {run: x, matrix: {v: []}}}\n", "jobs.a.matrix.v: needs at least one value"),
        ("jobs: {a: {run: x, matrix: {v: [1, 1]}}}\n", 'jobs.a.matrix: two combinations would both be called "a-1"'),
        ("jobs: {a: {run: x, matrix: {v: ['1/2', '1-2']}}}\n", 'two combinations would both be called "a-1-2"'),
        ("jobs: {a: {run: x, matrix: {v: ['', x]}}}\n", 'no job name can be made of the value ""'),
        ("jobs: {a: {run: x, matrix: {v: [1]}}, a-1: {run: x}}\n", 'the job name "a-1" is taken by "a-1" (a cell of "a")'),
        ("jobs: {a: {run: x, matrix: {v: [1]}, environment: {variables: {v: 2}}}}\n", "is also an axis of this job's matrix"),
        (
            f"jobs: {{a: {{run: x, matrix: {{v: {list(range(11))}, w: {list(range(10))}}}}}}}",
            "jobs.a.matrix: 110 combinations; 100 are the most",
        ),
    ],
)
def test_a_mistake_is_located_and_put_into_words(text: str, problem: str) -> None:
    assert any(problem in found for found in problems(text)), problems(text)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"queue: caf\xe9\n", "1:11 not UTF-8: the byte 0xe9 cannot stand here; save the file as UTF-8"),
        ("queue: x\n".encode("utf-16"), "1:1 not UTF-8"),
        (b"queue: a\n# \x00\n", "2:3 a NUL character cannot stand in YAML"),
        (b"queue: \x1b[31m\n", "1:8 the control character U+001B cannot stand in YAML"),
        (b"# " + b"x" * 1024 * 1024, "1:1 the file has more than 1048576 bytes (1 MiB), the most that is read"),
    ],
)
def test_bytes_that_are_no_text_are_refused(data: bytes, problem: str) -> None:
    (found,) = problems(data)
    assert found.startswith(problem)


def test_a_byte_order_mark_and_windows_lines_are_no_mistake() -> None:
    parsed = parse_torii_yml(b"\xef\xbb\xbfqueue: a\r\njobs: {a: {run: x}}\r\n")
    assert isinstance(parsed, ProjectConfig)
    assert parsed.queue == "a"


def test_an_alias_bomb_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    (found,) = problems("\n".join(lines))
    assert "more than 10000 values, aliases written out; is this an alias bomb?" in found


def test_a_hundred_problems_are_told_and_the_rest_counted() -> None:
    found = problems("".join(f"key{number}: 1\n" for number in range(150)))
    assert len(found) == 100
    assert found[-1].endswith("and 51 more problems")


def test_what_a_file_says_is_shown_short_and_harmless() -> None:
    (found,) = problems('"\\e[31m' + "x" * 500 + '": 1\n')
    assert "\x1b" not in found
    assert len(found) < 300


HOSTILE = {
    "a file of brackets": "[" * 1_000_000,
    "a file of dashes": "- " * 500_000,
    "one long text": f"jobs: {{a: {{run: '{'x ' * 500_000}'}}}}",
    "unknown keys": "".join(f"{'a' * 90}{number}: 1\n" for number in range(4_900)),
    "names of no job": f"jobs: {{aaaaaaaa: {{run: x}}}}\npipelines: {{p: [{', '.join(f'aaaaaaa{n}' for n in range(9_000))}]}}",
    "matrices": "jobs:\n" + "".join(f" j{n}: {{run: x, matrix: {{a: {list(range(10))}, b: {list(range(10))}}}}}\n" for n in range(300)),
    "everybody needs everybody": "jobs:\n"
    + "".join(f" b{n}: {{run: x, needs: [{', '.join(f'b{k}' for k in range(95))}]}}\n" for n in range(95)),
    "patterns": "jobs: {j: {run: x, when: {files: [" + ", ".join(repr("?*" * 200 + str(n)) for n in range(2_400)) + "]}}}",
    "a long chain of needs": "jobs:\n j0: {run: x}\n" + "".join(f" j{n}: {{run: x, needs: j{n - 1}}}\n" for n in range(1, 990)),
    "a matrix of a large script": f"jobs: {{j: {{run: {'x' * 60_000}, matrix: {{a: {list(range(100))}}}}}}}",
    "pipelines and needs": f"jobs:\n a: {{run: x, needs: [{', '.join(f'b{n}' for n in range(900))}]}}\n"
    + "".join(f" b{n}: {{run: x}}\n" for n in range(900))
    + "pipelines:\n"
    + "".join(f" p{n}: a\n" for n in range(2_000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_costs_much(name: str) -> None:
    data = HOSTILE[name].encode()[: 1024 * 1024]
    begun = time.thread_time()
    parse_torii_yml(data)
    assert time.thread_time() - begun < 1.0  # some 0.2 s on a quiet machine


def test_jobs_written_out_are_bounded() -> None:
    assert "more than 1000 jobs in one file" in problems(HOSTILE["matrices"])[0]
    assert "characters, matrix cells and aliases written out" in problems(HOSTILE["a matrix of a large script"])[0]
    jobs = "".join(f" b{n}: {{run: x, needs: [{', '.join(f'b{k}' for k in range(n))}]}}\n" for n in range(70))
    every = ", ".join(f"b{n}" for n in range(70))
    assert (
        "too many pipelines with too many needs"
        in problems(f"jobs:\n{jobs}pipelines:\n" + "".join(f" p{n}: [{every}]\n" for n in range(90)))[0]
    )


def test_the_cache_gives_the_same_answer_and_forgets_what_is_oldest() -> None:
    cache = ConfigCache(size=2)
    first = cache.parse(b"queue: a")
    assert cache.parse(b"queue: a") is first
    cache.parse(b"queue: b")
    cache.parse(b"queue: a")
    cache.parse(b"queue: c")
    assert cache.parse(b"queue: a") is first
    assert len(cache) == 2
    assert isinstance(cache.parse(b"nonsense: 1", "elsewhere.yml"), tuple)
    assert str(cache.parse(b"nonsense: 1", "other.yml")[0]).startswith("other.yml:1:1")  # type: ignore[index]


@pytest.mark.parametrize(
    "pattern", ["report.xml", "dist/", "**/TEST-*.xml", "build/**/*.txt", "?" * 512, "*a" * 256, "**/" * 170, "a b/ü.txt"]
)
def test_what_may_be_a_report_or_an_artifact_is_a_glob(pattern: str) -> None:
    (job,) = read(f"jobs: {{a: {{run: x, artifacts: '{pattern}'}}}}").jobs
    compile_glob(job.artifacts[0])
