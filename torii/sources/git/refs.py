"""What the branches of a plain git repository mean: which of them are changes, and which are branches that changes land on.

`refs/heads/review/<branch>/<name>` is a change to check and `refs/heads/gate/<branch>/<name>` at the same commit approves it. Both
`<branch>` and `<name>` may hold slashes: the longest existing branch that is a prefix wins. Pure; it never raises for what a server says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torii.model.ids import ChangeId, ProjectName, Sha

HEADS = "refs/heads/"
REVIEW = "refs/heads/review/"
GATE = "refs/heads/gate/"

LONGEST_REF = 200
"""Bytes of the longest ref that is looked at: with a staging prefix before it, it still fits every file system's file names."""

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# Letters and digits of any script, and marks that neither a shell, a URL's path, YAML nor a terminal takes for anything else.
_COMPONENT = re.compile(r"[\w.+@=,#][\w.+@=,#-]*")
_NO_COMMIT = frozenset({"0" * 40, "0" * 64})


@dataclass(frozen=True, slots=True)
class Ignored:
    """A ref that is left alone, and why, in words for the operator and the one who pushed it."""

    ref: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChangeRefs:
    """The review and gate branches of one change; at least one of them is there. `name` is `<branch>/<name>`."""

    name: str
    branch: str
    review: Sha | None = None
    gate: Sha | None = None

    @property
    def patchset(self) -> Sha:
        """The commit under review; a gate branch alone is a change at its own commit."""
        commit = self.review or self.gate
        assert commit is not None
        return commit

    @property
    def ref(self) -> str:
        """Where the patch set can be fetched."""
        return (REVIEW if self.review else GATE) + self.name

    @property
    def approved(self) -> bool:
        return self.gate == self.patchset

    @property
    def blockers(self) -> tuple[str, ...]:
        """What the two branches themselves say against a merge."""
        if self.gate is None or self.approved:
            return ()
        return (f"gate/{self.name} approves {self.gate[:10]}, but the change is at {self.patchset[:10]}",)


@dataclass(frozen=True, slots=True)
class Layout:
    """The branches of a repository, sorted by what they are. `changes` is keyed by `<branch>/<name>`."""

    branches: Mapping[str, Sha]
    changes: Mapping[str, ChangeRefs]
    ignored: tuple[Ignored, ...] = ()


def parse_ls_remote(output: bytes) -> dict[str, str]:
    """Return ref -> object id of what `git ls-remote` printed; whatever is not `<id> TAB <ref>` is left out.

    Bytes that are not UTF-8 become lone surrogates, which no safe ref holds.
    """
    refs: dict[str, str] = {}
    for line in output.split(b"\n"):
        sha, tab, ref = line.partition(b"\t")
        if tab and ref:
            refs[ref.decode("utf-8", "surrogateescape")] = sha.decode("ascii", "replace")
    return refs


def is_sha(text: str) -> bool:
    """Whether `text` is a full object id, other than the zeros that mean none."""
    return _SHA.fullmatch(text) is not None and text not in _NO_COMMIT


def why_unsafe(ref: str) -> str:
    """Return why Torii leaves `ref` alone; empty where it may be used in commands, job parameters, URLs and pages."""
    try:
        if len(ref.encode()) > LONGEST_REF:
            return f"its name is longer than {LONGEST_REF} bytes"
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    for component in ref.split("/"):
        if component.startswith("-"):
            return "a part of its name begins with '-'"
        if ".." in component or component in {"", "@"} or component.startswith(".") or component.endswith((".", ".lock")):
            return "its name is one that git itself forbids"
        if not _COMPONENT.fullmatch(component):
            return "its name holds characters other than letters, digits and . _ - + @ = , #"
    return ""


def sort_refs(refs: Mapping[str, str]) -> Layout:
    """Return what `refs` (of `ls-remote`, ref -> object id) mean. Refs outside `refs/heads/` do not count."""
    ignored: list[Ignored] = []
    heads: dict[str, Sha] = {}
    for ref, sha in sorted(refs.items()):
        if not ref.startswith(HEADS):
            continue
        if reason := why_unsafe(ref) or ("" if is_sha(sha) else "the server gave no commit for it"):
            ignored.append(Ignored(shown(ref), reason))
        else:
            heads[ref] = Sha(sha)
    branches = {ref.removeprefix(HEADS): sha for ref, sha in heads.items() if not ref.startswith((REVIEW, GATE))}
    changes: dict[str, ChangeRefs] = {}
    for ref in heads:
        name = _change_name(ref)
        if name is None or name in changes:
            continue
        branch = _branch_of(name, branches)
        if branch is None:
            ignored.append(Ignored(ref, f"no branch of this repository is a prefix of {name!r}; push to review/<branch>/<name>"))
        else:
            changes[name] = ChangeRefs(name, branch, heads.get(REVIEW + name), heads.get(GATE + name))
    return Layout(branches, changes, tuple(ignored))


def change_id(project: ProjectName, name: str) -> ChangeId:
    """Return the id of the change `name` (`<branch>/<name>`) of `project`."""
    return ChangeId(f"{project}:{name}")


def shown(text: str) -> str:
    """Return `text` for a log or a page: without characters that are not printable, not UTF-8, or that go on for ever."""
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return clean if len(clean) <= LONGEST_REF else clean[: LONGEST_REF - 3] + "..."


def _change_name(ref: str) -> str | None:
    for prefix in (REVIEW, GATE):
        if ref.startswith(prefix):
            return ref.removeprefix(prefix)
    return None


def _branch_of(name: str, branches: Mapping[str, Sha]) -> str | None:
    return next((prefix for prefix in _prefixes(name) if prefix in branches), None)


def _prefixes(name: str) -> Iterator[str]:
    """Yield what may be the branch in `name`, the longest first."""
    end = name.rfind("/")
    while end > 0:
        yield name[:end]
        end = name.rfind("/", 0, end)
