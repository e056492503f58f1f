"""Whatever is pushed, in whatever order, and however often Torii is restarted: the events told add up to what the repository is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.git_world import World, world
from torii.model.change import Change
from torii.model.event import BranchMoved, ChangeUpdated
from torii.model.ids import ChangeId
from torii.sources.git.depend import resolve
from torii.sources.git.known import KnownChange
from torii.sources.git.refs import parse_ls_remote, sort_refs, why_unsafe

NAMES = ("main/a", "main/b", "main/x/y", "stable/1/c")
HEADS = ("main", "stable", "stable/1", *(f"review/{name}" for name in NAMES), *(f"gate/{name}" for name in NAMES))
FOOTERS = {"c2": "lib", "c4": "Depends-On: app:main/b", "c5": "Depends-On: app:main/a", "c6": "Depends-On: app:main/x/y"}
COMMITS = {"c1": "base", "c2": "c1", "c3": "c2", "c4": "base", "c5": "c4", "c6": "base", "other": ""}

moves = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(HEADS), st.sampled_from([None, "base", *COMMITS])),
        st.just(("look", None)),
        st.just(("restart", None)),
        st.just(("crash", None)),
    ),
    max_size=30,
)


class Listener:
    """What somebody knows who hears nothing but the events, as the gate does."""

    def __init__(self) -> None:
        self.branches: dict[str, str] = {}
        self.changes: dict[ChangeId, Change] = {}
        self.keys: set[str] = set()

    def hear(self, events) -> None:
        for event in events:
            assert event.key not in self.keys
            self.keys.add(event.key)
            match event:
                case BranchMoved():
                    assert self.branches.get(event.branch) == event.old
                    assert event.old != event.new
                    self.branches[event.branch] = event.new
                case ChangeUpdated():
                    for other in event.change.depends_on:
                        assert other in self.changes, "told after what it depends on"
                    self.changes[event.change.id] = event.change


def prepared() -> World:
    made = world()
    for name, parent in COMMITS.items():
        made.commit(name, *([parent] if parent else []), message=f"{name}\n\n{FOOTERS.get(name, '')}")
    return made


@given(moves)
def test_the_events_add_up_to_what_the_repository_is(steps):
    made = prepared()
    listener = Listener()
    listener.branches["main"] = made.sha("base")
    for head, commit in steps:
        match head:
            case "look":
                listener.hear(made.events())
            case "restart":
                made.restart()
            case "crash":
                before = made.known
                first = made.events()
                made.known = before
                made.restart()
                assert made.events() == first
                listener.hear(first)
            case _ if commit is None:
                made.refs["app"].pop(f"refs/heads/{head}", None)
            case _:
                made.set(head, commit)
    listener.hear(made.events())
    assert made.events() == []

    layout = sort_refs(made.refs["app"])
    assert {name: tip for name, tip in listener.branches.items() if tip} == dict(layout.branches)
    open_ = {id_: change for id_, change in listener.changes.items() if change.status.value == "open"}
    for name, refs in layout.changes.items():
        if refs.patchset in made.history(layout.branches[refs.branch]):
            assert f"app:{name}" not in open_
            continue
        change = open_.pop(ChangeId(f"app:{name}"))
        assert (change.branch, change.patchset, change.ref, change.approved) == (refs.branch, refs.patchset, refs.ref, refs.approved)
        assert change == made.change(name) or set(made.change(name).depends_on) < set(change.depends_on)
    assert not open_


ids = st.sampled_from([ChangeId(f"app:main/{letter}") for letter in "abcdefgh"])


@given(st.dictionaries(ids, st.lists(ids, max_size=4)), st.sets(ids))
def test_dependencies_are_in_order_whole_and_without_rings(edges, touched):
    changes = {
        id_: KnownChange("app", id_.partition(":")[2], "main", "0" * 40, "refs/heads/x", wants=tuple(wanted))
        for id_, wanted in edges.items()
    }
    everything = resolve(changes, changes)
    assert set(everything) == set(changes)
    for id_, standing in everything.items():
        assert id_ not in standing.depends_on
        for position, other in enumerate(standing.depends_on):
            assert set(everything[other].depends_on) <= set(standing.depends_on[:position])
        for other in edges[id_]:
            assert other not in changes or other in standing.depends_on or standing.blockers
    some = resolve(changes, touched)
    assert {id_: everything[id_] for id_ in some} == some


@given(st.binary(max_size=200))
def test_whatever_a_server_prints_is_read(output):
    layout = sort_refs(parse_ls_remote(output))
    for each in layout.ignored:
        assert each.ref.isprintable()


@given(st.text(max_size=40))
def test_a_ref_is_safe_or_there_is_a_reason(name):
    reason = why_unsafe(f"refs/heads/{name}")
    if not reason:
        assert not set(name) & set(" \t\n\r;|&$`'\"<>(){}[]!?*~^:\\%")
        assert not any(part.startswith("-") for part in name.split("/"))
