"""What the worker answers over Gearman: the plug-in's words, and no word without proof."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from tests.support.worker_lab import KEY
from torii.gearman import seal, sign_parameters
from torii.gearman.functions import define_function
from torii.model.build import Result
from torii.model.job import JobDefinition
from torii.results.record import BuildRecord, encode

pytestmark = pytest.mark.needs("bwrap")

WAIT = "while ! test -e go; do sleep 0.02; done\n"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json",
        b"[]",
        b'"text"',
        b"5",
        b"null",
        b'{"A": {}}',
        b'{"A": []}',
        b'{"A": "1", "A": "2"}',
        b'{"A": "1"} more',
        b'{"A": "1"',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_a_payload_that_is_no_flat_object_of_strings_is_refused(lab, payload):
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("job", "true"))
    how, data = lab.ask(f"build:{job.name}", payload).end()
    assert how == "exception", data
    assert lab.submit(job)[1].result() == "SUCCESS"


def test_numbers_booleans_and_nulls_are_taken_as_the_plugin_takes_them(lab):
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("job", 'echo "[$A|$B|${C-unset}]"\n', variables=(("A", ""), ("B", ""), ("C", ""))))
    given = {name: value for name, value in lab.parameters(A="1.50", B="true").items() if name != "TORII_SIGNATURE"}
    signature = sign_parameters(KEY, given)
    data = json.dumps({**given, "C": None, "TORII_SIGNATURE": signature}).replace('"1.50"', "1.50").replace('"true"', "true")
    assert lab.ask(f"build:{job.name}", data.encode()).result() == "SUCCESS"
    (log,) = [lab.log(given["TORII_UUID"])]
    assert "[1.50|true|unset]\n" in log


def test_a_build_that_nobody_signed_or_that_was_altered_is_refused(lab):
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("job", "true"))
    given = lab.parameters()
    for wrong in (
        {name: value for name, value in given.items() if name != "TORII_SIGNATURE"},
        {**given, "TORII_COMMIT": "2" * 40},
        {**given, "TORII_SIGNATURE": "0" * 64},
        {**given, "MORE": "x"},
    ):
        how, data = lab.ask(f"build:{job.name}", json.dumps(wrong).encode()).end()
        assert how == "exception"
        assert b"TORII_SIGNATURE" in data
    assert not lab.blobs.exists(f"builds/{given['TORII_UUID']}/console.log")


@pytest.mark.parametrize("wrong", ["", "../../etc", "4C7A3B1E-2F5D-5E0A-9D43-0F6B1C2D3E4F", "x" * 36])
def test_a_build_without_a_proper_id_is_refused(lab, wrong):
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("job", "true"))
    how, data = lab.submit(job, TORII_UUID=wrong)[1].end()
    assert (how, b"TORII_UUID" in data) == ("exception", True)


@pytest.mark.parametrize(
    ("url", "ref", "commit"),
    [
        ("ext::sh -c id", None, None),
        ("--upload-pack=id", None, None),
        (None, "refs/heads/../x", None),
        (None, "--all", None),
        (None, None, "HEAD"),
        (None, None, "--help"),
        (None, None, "1" * 40),
        (None, "refs/staging/none", "1" * 40),
        ("/no/such/repository", None, "1" * 40),
    ],
)
def test_a_state_that_cannot_be_checked_out_loses_the_build_with_a_reason(lab, url, ref, commit):
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("job", "true"))
    more = {name: value for name, value in (("TORII_URL", url), ("TORII_REF", ref), ("TORII_COMMIT", commit)) if value}
    build, answer = lab.submit(job, **more)
    how, data = answer.end(60.0)
    assert how == "exception"
    assert data
    record = lab.record(build)
    assert record.result is Result.LOST
    assert record.detail
    assert f"[torii] LOST: {record.detail[:40]}" in lab.log(build)


def test_a_definition_needs_a_seal_and_a_job_that_can_be_run(lab):
    worker = lab.worker()
    function = define_function(worker.id)
    good = {"name": "job", "xml": "<project/>", "label": None}
    for payload in (
        b"",
        json.dumps(good).encode(),
        seal(b"another key", good),
        seal(KEY, {**good, "xml": "<flow-definition/>"}),
        seal(KEY, {**good, "xml": "<project><builders><hudson.tasks.Maven/></builders></project>"}),
        seal(KEY, {**good, "xml": "<!DOCTYPE p [<!ENTITY a 'b'>]><project>&a;</project>"}),
        seal(KEY, {**good, "xml": "not xml"}),
        seal(KEY, {**good, "name": "a:b"}),
        seal(KEY, {**good, "xml": "<project><assignedNode>a &amp;&amp;</assignedNode></project>"}),
    ):
        how, data = lab.ask(function, payload).end()
        assert how == "exception", payload
        assert data
    assert not [name for name in lab.functions() if name.startswith("build:")]


def test_a_definition_is_answered_with_what_is_offered_and_the_labels_and_can_be_removed(lab):
    worker = lab.worker()
    function = define_function(worker.id)
    xml = "<project><assignedNode>linux</assignedNode></project>"
    answer = json.loads(lab.call(function, seal(KEY, {"name": "job", "xml": xml, "label": "linux"})))
    assert answer == {"functions": ["build:job", "build:job:linux"], "labels": ["big", "linux"]}
    assert {"build:job", "build:job:linux"} <= lab.functions()
    assert json.loads(lab.call(function, seal(KEY, {"name": "job", "remove": True})))["functions"] == []
    wait_until(lambda: not [name for name in lab.functions() if name.startswith("build:")])


def test_a_build_asked_for_twice_runs_once_and_both_are_answered(lab):
    worker = lab.worker(executors=2)
    job = lab.define(worker, JobDefinition("job", f"echo run; {WAIT}", artifacts=("go",)))
    given = lab.parameters()
    one, two = (lab.ask(f"build:{job.name}", json.dumps(given).encode()) for _ in range(2))
    assert one.started() == two.started()
    assert worker.running == 1
    release(lab, worker)
    assert (one.result(), two.result()) == ("SUCCESS", "SUCCESS")
    assert lab.log(given["TORII_UUID"]).count("\nrun\n") == 1


def test_a_build_that_has_ended_answers_with_its_recorded_outcome_at_once(lab):
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("job", "echo run\n"))
    given = lab.parameters()
    lab.blobs.put(f"builds/{given['TORII_UUID']}/result.json", encode(BuildRecord(Result.FAILURE, detail="before")))
    assert lab.ask(f"build:{job.name}", json.dumps(given).encode()).result() == "FAILURE"
    assert lab.log(given["TORII_UUID"]) == ""


def test_a_build_is_stopped_by_its_id_or_by_name_and_number(lab):
    worker = lab.worker(executors=2)
    job = lab.define(worker, JobDefinition("job", WAIT))
    for by_id in (True, False):
        build, answer = lab.submit(job)
        facts = answer.started()
        which = {"uuid": build} if by_id else {"name": facts["name"], "number": str(facts["number"])}
        assert lab.stop_build(worker, **which).end() == ("complete", b"")
        assert answer.result() == "ABORTED"
        assert lab.record(build).result is Result.ABORTED
        wait_until(lambda which=which: lab.stop_build(worker, **which).end()[0] == "fail")


def test_a_stop_before_the_first_output_is_a_stop_too(lab):
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("job", "sleep 60\n"))
    build, answer = lab.submit(job)
    answer.started()
    lab.stop_build(worker, uuid=build)
    assert answer.result() == "ABORTED"


def test_nobody_stops_or_describes_a_build_without_proof_or_one_that_is_not_there(lab):
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("job", WAIT))
    build, answer = lab.submit(job)
    answer.started()
    for function in (f"stop:{worker.id}", f"set_description:{worker.id}"):
        assert lab.ask(function, json.dumps({"uuid": build}).encode()).end()[0] == "exception"
        assert lab.ask(function, b"nonsense").end()[0] == "exception"
    assert lab.stop_build(worker, uuid=str(uuid.uuid4())).end() == ("exception", b"no such build here")
    assert worker.running == 1
    release(lab, worker)
    assert answer.result() == "SUCCESS"


def test_a_description_is_kept_beside_the_log(lab):
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("job", "true\n"))
    build, answer = lab.submit(job)
    facts = answer.started()
    answer.result()
    given = {"name": facts["name"], "number": str(facts["number"]), "html_description": "<b>é</b>"}
    lab.call(f"set_description:{worker.id}", json.dumps({**given, "TORII_SIGNATURE": sign_parameters(KEY, given)}).encode())
    assert lab.blobs.read(f"builds/{build}/description.html").decode() == "<b>é</b>"


def release(lab, worker):
    """Let the builds end that wait for the file `go`."""
    for folder in wait_until(lambda: list((lab.state / "workspaces" / worker.id / "builds").glob("*/workspace"))):
        Path(folder, "go").touch()
