"""Any two histories with a start in common: merged by the merger without a work tree, and by git in one."""

from __future__ import annotations

from pathlib import Path

from hypothesis import assume
from hypothesis import strategies as st

from tests.support.histories import REFUSED, Files, Planned, Scene, WorkTree
from torii.git import Mirror
from torii.merger.merging import Clash, Merging
from torii.merger.modes import Identity, Modes, Tip
from torii.model.ids import Sha
from torii.model.pipeline import MergeMode

SUBMODULES = [b"1" * 40, b"2" * 40, b"3" * 40]
NAMES = [
    *(b"a.txt", b"b.txt", b"src/one.py", b"src/two.py", b"src/deep/three.py", b"docs/x.md", b"bin/run", b"a space.txt"),
    *("ü/ñ.txt".encode(), b"not-\xff-utf8", b'quo"ted', b"image.png", b"link", b"module", b"union.log", b"crlf.txt"),
    *(b"src", b"docs/x.md/y"),
]
ATTRIBUTES = [b"union.log merge=union\n", b"*.py -merge\n", b"*.txt text eol=crlf\n", b"docs/** binary\n", b"* merge=custom\n"]
BASE: dict[bytes, tuple[str, bytes]] = {
    b"a.txt": ("100644", b"".join(b"line %d\n" % number for number in range(12))),
    b"src/one.py": ("100644", b"".join(b"one %d\n" % number for number in range(20))),
    b"src/two.py": ("100755", b"".join(b"two %d\n" % number for number in range(15))),
    b"docs/x.md": ("100644", b"".join(b"text %d\n" % number for number in range(10))),
    b"union.log": ("100644", b"start\n"),
    b"crlf.txt": ("100644", b"one\r\ntwo\r\nthree\r\nfour\r\nfive\r\n"),
    b"image.png": ("100644", b"\x89PNG\0\1\2" * 20),
    b"link": ("120000", b"a.txt"),
    b"module": ("160000", SUBMODULES[0]),
}

edits = st.tuples(st.just("edit"), st.sampled_from(NAMES), st.integers(0, 19), st.sampled_from([b"x\n", b"y\n", b"z\r\n", b""]))
others = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(NAMES), st.sampled_from([b"new\n" * 9, b"other\n" * 9, b"\0binary", b""])),
    st.tuples(st.just("remove"), st.sampled_from(NAMES)),
    st.tuples(st.just("move"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("mode"), st.sampled_from(NAMES)),
    st.tuples(st.just("link"), st.sampled_from(NAMES), st.sampled_from([b"a.txt", b"../up", b"src"])),
    st.tuples(st.just("module"), st.sampled_from(SUBMODULES)),
    st.tuples(st.just("attributes"), st.sampled_from([b".gitattributes", b"src/.gitattributes"]), st.sampled_from(ATTRIBUTES)),
    st.tuples(st.just("move folder"), st.sampled_from([b"src/", b"docs/"]), st.sampled_from([b"lib/", "ü/".encode()])),
)
steps = st.lists(st.one_of(edits, edits, others), min_size=1, max_size=3)
branches = st.lists(steps, min_size=1, max_size=3)


Work = list[list[tuple[object, ...]]]


def altered(files: Files, step: list[tuple[object, ...]]) -> Files:
    """Return `files` after `step`; whatever of it does not apply is left out."""
    new = dict(files)
    for what, *how in step:
        match what, how:
            case "edit", [bytes(name), int(number), bytes(line)] if name in new and new[name][0].startswith("100"):
                lines = new[name][1].splitlines(keepends=True)
                lines[number % (len(lines) or 1) : number % (len(lines) or 1) + 1] = [line]
                new[name] = (new[name][0], b"".join(lines))
            case "write", [bytes(name), bytes(content)] if name not in new:
                new[name] = ("100644", content)
            case "remove", [bytes(name)]:
                new.pop(name, None)
            case "move", [bytes(name), bytes(target)] if name in new and target not in new:
                new[target] = new.pop(name)
            case "mode", [bytes(name)] if name in new and new[name][0].startswith("100"):
                new[name] = ("100755" if new[name][0] == "100644" else "100644", new[name][1])
            case "link", [bytes(name), bytes(target)]:
                new[name] = ("120000", target)
            case "module", [bytes(commit)] if b"module" in new:
                new[b"module"] = ("160000", commit)
            case "attributes", [bytes(name), bytes(content)]:
                new[name] = ("100644", content)
            case "move folder", [bytes(old), bytes(target)]:
                new = {target + name[len(old) :] if name.startswith(old) else name: entry for name, entry in new.items()}
    paths = set(new)
    # A path cannot be a file and a folder at once; the folder wins.
    return {name: entry for name, entry in new.items() if not any(other.startswith(name + b"/") for other in paths)}


def grown(start: int, base: Files, work: Work, label: str, first: int) -> list[Planned]:
    """Return a line of commits that does `work` from `base`, which the commit at position `start` has."""
    line, files, parent = [], base, start
    for number, step in enumerate(work):
        files = altered(files, step)
        stamp = b"%d +0000" % (1_700_000_000 + first + number)
        who = f"{label} <{label}@example.com> ".encode() + stamp
        line.append(Planned(files, (parent,), f"{label} {number}\n\nWhy.\n".encode(), who, who))
        parent = first + number
    return line


class World:
    """A repository with two branches of one start, the merger on it, and a work tree of it."""

    def __init__(self, folder: Path, ours: Work, theirs: Work) -> None:
        self.scene = Scene(folder / "scene.git")
        plan = [Planned(BASE, (), b"start\n")]
        plan += grown(0, BASE, ours, "ours", len(plan))
        at = len(plan) - 1
        plan += grown(0, BASE, theirs, "theirs", len(plan))
        made = self.scene.build(plan)
        self.onto, self.change, self.theirs = made[at], made[-1], made[at + 1 :]
        mirror = Mirror(self.scene.path)
        self.merging = Merging(mirror)
        self.modes = Modes(mirror, self.merging, Identity())
        self.real = WorkTree(self.scene, folder / "work")

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.merging.close()

    def apply(self, mode: MergeMode) -> Tip | set[bytes]:
        made = self.modes.apply(mode, Tip(self.onto, self.scene.tree(self.onto)), self.change, "main")
        return {path.encode(errors="surrogateescape") for path in made.files} if isinstance(made, Clash) else made


def check_merge(world: World) -> None:
    """Assert that merging and squashing make what `git merge` makes, or clash in the same paths."""
    real = world.real.merge(world.onto, world.change)
    assume(real != REFUSED)
    for mode in (MergeMode.MERGE_ALWAYS, MergeMode.SQUASH):
        made = world.apply(mode)
        assert (made.tree if isinstance(made, Tip) else made) == real


def check_rebase(world: World) -> None:
    """Assert that rebasing and cherry-picking make what `git rebase` and `git cherry-pick` make, or clash in the same paths."""
    real = world.real.rebase(world.onto, world.change)
    assume(real != REFUSED)
    made = world.apply(MergeMode.REBASE_ALWAYS)
    if isinstance(made, set):
        assert made == real
        return
    listed: list[tuple[Sha, bytes]] = []
    commit = made.commit
    while commit != world.onto:
        one = world.merging.objects.commit(commit)
        listed.insert(0, (one.tree, one.message))
        (commit,) = one.parents
    assert listed == real
    picked = world.apply(MergeMode.CHERRY_PICK)
    assert isinstance(picked, Tip)
    assert picked.tree == world.real.cherry_pick(world.onto, world.theirs)
