"""The text that values become: what older and newer versions of Torii may rely on."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from torii.gate.state import Build, BuildSet, Item, State
from torii.model.build import BuildRequest, Result
from torii.model.change import Change
from torii.model.event import BuildDone, Merged, MergeDone, Staged, SubmitDone, Tick
from torii.model.job import JobDefinition, Need, ProjectConfig
from torii.model.pipeline import Cause, GateConfig
from torii.store.codec import DecodeError, decode, decode_event, encode, encode_event, event_kind

CHANGE = Change("app:main/fix", "app", "main", "a" * 40, "a" * 40, "refs/heads/review/main/fix", "Fix it", "dev")


def config(jobs: int = 3) -> ProjectConfig:
    return ProjectConfig("d" * 40, None, tuple(JobDefinition(f"job{n}", "tox", needs=(Need("lint"),)) for n in range(jobs)))


def test_a_journal_entry_reads_as_what_it_is():
    event = BuildDone("6d3f", Result.FAILURE, 2.5)
    assert event_kind(event) == "BuildDone"
    assert json.loads(encode_event(event)) == {
        "build": "6d3f",
        "result": "FAILURE",
        "duration": 2.5,
        "detail": "",
        "tests": None,
        "url": None,
        "comments": [],
    }


def test_the_member_of_a_union_is_named_by_its_class():
    assert json.loads(encode_event(SubmitDone("k-1.1", Merged("c", "t"))))["outcome"] == {"$type": "Merged", "commit": "c", "tree": "t"}


def test_a_key_that_an_older_torii_did_not_write_takes_its_default():
    assert decode_event("BuildDone", '{"build":"6d3f","result":"SUCCESS"}') == BuildDone("6d3f", Result.SUCCESS)


def test_a_key_that_only_a_newer_torii_knows_is_passed_over():
    assert decode_event("Tick", '{"moon":"full"}') == Tick()
    text = encode_event(MergeDone("k-1.1", Staged((), config=config()))).replace('"digest"', '"colour":"red","digest"')
    assert decode_event("MergeDone", text) == MergeDone("k-1.1", Staged((), config=config()))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Eclipse", "{}"),
        ("BuildDone", "{}"),
        ("BuildDone", '{"build":"1","result":"MAGIC"}'),
        ("BuildDone", "[]"),
        ("BuildDone", "{"),
        ("SubmitDone", '{"build_set":"1","outcome":{"$type":"Lost"}}'),
        ("SubmitDone", '{"build_set":"1","outcome":{}}'),
        ("MergeDone", '{"build_set":"1","outcome":null}'),
        ("Tick", "[" * 100_000),
    ],
)
def test_what_cannot_be_understood_is_one_kind_of_error(kind, text):
    with pytest.raises(DecodeError, match="version of Torii"):
        decode_event(kind, text)


def test_a_reference_into_the_table_that_fits_nothing_is_an_error():
    for place in ("7", '"x"', "0"):
        with pytest.raises(DecodeError):
            decode(ProjectConfig, '{"$shared":[["JobDefinition",{"name":"a","run":"b"}]],"$value":{"$same":' + place + "}}")


def test_something_that_is_no_event_is_not_journalled():
    with pytest.raises(TypeError, match="Change is not an event"):
        encode_event(CHANGE)  # type: ignore[arg-type]


def test_a_definition_that_many_hold_is_written_once_and_held_once():
    @dataclass(frozen=True, slots=True)
    class Pair:
        one: ProjectConfig
        other: ProjectConfig

    globals()["Pair"] = Pair
    text = encode(Pair(config(), config()))
    found = decode(Pair, text)
    assert text.count('"job1"') == 1
    assert found == Pair(config(), config())
    assert found.one is found.other


def test_threads_that_write_and_read_at_once_do_not_mix_their_tables():
    from concurrent.futures import ThreadPoolExecutor

    values = [config(jobs) for jobs in range(1, 9)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            assert list(pool.map(lambda value: decode(ProjectConfig, encode(value)), values)) == values


def test_a_mapping_by_something_else_than_text_comes_back():
    assert decode(dict[tuple[str, int], Cause], encode({("a", 1): Cause.MERGED}, dict[tuple[str, int], Cause])) == {("a", 1): Cause.MERGED}


def queue_of(length: int) -> State:
    """A gate's state with as many items, a build set of three builds each."""
    state = State(GateConfig("k3f9", (), ()))
    for number in range(length):
        # As after a restart: equal definitions, but not the same objects.
        builds = [Build(f"{number}-{job.name}", job, True) for job in config().jobs]
        name = f"k3f9-{number}"
        state.items[name] = Item(name, "gate", "q", CHANGE, number, 1.0, build_sets=[BuildSet(f"{name}.1", name, None, builds=builds)])
        state.changes[f"c{number}"] = CHANGE
    return state


def test_a_definition_shared_by_a_thousand_items_is_written_once():
    text = encode(queue_of(1000))
    assert len(text) < 4_000_000
    assert encode(decode(State, text)) == text


def test_a_build_request_holds_its_job_whole():
    request = BuildRequest("6d3f", "k-1.1", config().jobs[0], True, "gate", "app", "main", CHANGE.id, "1", (), "refs/x", "c")
    assert decode(BuildRequest, encode(request)) == request
