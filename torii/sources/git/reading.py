"""Read from a project's mirror what `derive.plan` asks for: a handful of git commands, however many branches and changes there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import structlog

from torii.config.cache import ConfigCache
from torii.git import Mirror
from torii.model.ids import ProjectName, Sha
from torii.model.job import ProjectConfig
from torii.sources.git.commits import MOST_COMMITS, Commit, OwnCommits, commit_of, survey
from torii.sources.git.derive import BranchReading, Plan, Reading, Tip
from torii.sources.git.refs import is_sha

log = structlog.get_logger()

MOST_OUTSIDE = 20_000
"""Commits that all changes of a branch may have together before each change is read for itself."""

LARGEST_CONFIG = 1024 * 1024
"""Bytes of the largest `torii.yml` that is looked into."""

_CONFIG = "torii.yml"
_LARGEST_COMMIT = 1024 * 1024
_AT_ONCE = 200
_FORMAT = "%H%x00%P%x00%an <%ae>%x00%B"
_FIELDS = 4


@dataclass(frozen=True, slots=True)
class Item:
    """One object in the mirror: its id, type and size in bytes."""

    sha: Sha
    type: str
    size: int


def find(mirror: Mirror, names: Iterable[str]) -> dict[str, Item]:
    """Return which of `names` (ids, or `<id>:<path>`) are in the mirror, and as what. Raises GitError."""
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return {}
    answer = mirror.run("cat-file", "--batch-check", given=_lines(wanted)).stdout.decode(errors="replace")
    found = {}
    for name, line in zip(wanted, answer.splitlines(), strict=False):
        words = line.split(" ")
        if len(words) == 3 and is_sha(words[0]):
            found[name] = Item(Sha(words[0]), words[1], int(words[2]))
    return found


def contents(mirror: Mirror, shas: Iterable[Sha]) -> Iterator[tuple[Sha, bytes]]:
    """Yield the objects `shas`, all of which are in the mirror. Raises GitError."""
    rest = iter(dict.fromkeys(shas))
    while batch := list(islice(rest, _AT_ONCE)):
        answer = mirror.run("cat-file", "--batch", given=_lines(batch)).stdout
        position = 0
        for sha in batch:
            end = answer.index(b"\n", position)
            size = int(answer[position:end].split(b" ")[2])
            yield sha, answer[end + 1 : end + 1 + size]
            position = end + 1 + size + 1


def needed(plan: Plan) -> set[str]:
    """Return all objects that `read` will want to find for `plan`, as `find` takes them."""
    files = (f"{sha}:{_CONFIG}" for sha in plan.tips.values())
    named = (sha for names in plan.branches.values() for sha in names.values())
    landed = (sha for shas in plan.landed.values() for sha in shas)
    return {*plan.refs.values(), *plan.tips.values(), *plan.branch_tips.values(), *named, *landed, *files}


def read(mirror: Mirror, project: ProjectName, plan: Plan, here: Mapping[str, Item], configs: ConfigCache) -> Reading:
    """Return what the commits of `plan` say; `here` is what `find` found of `needed`, `configs` remembers each `torii.yml`.

    Commits that are not in the mirror are taken for not merged. Raises GitError.
    """
    branches = {}
    for branch, names in plan.branches.items():
        tip = plan.branch_tips.get(branch)
        asked = {sha for sha in (*names.values(), *plan.landed.get(branch, ())) if _is_commit(here, sha)}
        readable = tip is not None and _is_commit(here, tip)
        branches[branch] = _read_branch(mirror, project, tip, names, asked) if tip is not None and readable else BranchReading()
    return Reading(_read_tips(mirror, plan.tips, here, configs), branches)


def _is_commit(here: Mapping[str, Item], sha: Sha) -> bool:
    return sha in here and here[sha].type == "commit"


def _read_branch(mirror: Mirror, project: ProjectName, tip: Sha, patchsets: Mapping[str, Sha], asked: set[Sha]) -> BranchReading:
    outside = _log(mirror, asked, tip, MOST_OUTSIDE)
    if len(outside) < MOST_OUTSIDE:
        return BranchReading(frozenset(asked - outside.keys()), survey(project, outside, patchsets))
    log.info("source.many_commits", project=project, branch_tip=tip, commits=f"at least {MOST_OUTSIDE}")
    return _read_each(mirror, project, tip, patchsets, asked)


def _read_each(mirror: Mirror, project: ProjectName, tip: Sha, patchsets: Mapping[str, Sha], asked: set[Sha]) -> BranchReading:
    """Read each change for itself, so that one that is made of a whole other history costs the others nothing."""
    contained = set()
    own: dict[str, OwnCommits] = {}
    for sha in asked:
        outside = _log(mirror, {sha}, tip, MOST_COMMITS + 1)
        if sha not in outside:
            contained.add(sha)
            continue
        said = survey(project, outside, patchsets)
        for name, patchset in patchsets.items():
            if patchset == sha and len(outside) <= MOST_COMMITS:
                own[name] = said[name]
            elif patchset == sha:
                problem = f"it has more than {MOST_COMMITS} commits that its branch lacks"
                own[name] = OwnCommits(said[name].title, said[name].owner, problem=problem)
    return BranchReading(frozenset(contained), own)


def _log(mirror: Mirror, commits: Iterable[Sha], tip: Sha, most: int) -> dict[Sha, Commit]:
    """Return the commits that are in the history of `commits`, not in that of `tip`; the newest `most` of them."""
    starts = sorted(commits)
    if not starts:
        return {}
    options = ["-z", f"--max-count={most}", f"--format={_FORMAT}", "--encoding=UTF-8", "--no-show-signature", "--no-patch"]
    answer = mirror.run("log", *options, "--stdin", given=_lines([*starts, f"^{tip}"])).stdout.decode(errors="replace")
    fields = iter(answer.split("\0"))
    found = {}
    while len(record := list(islice(fields, _FIELDS))) == _FIELDS:
        sha, parents, author, message = record
        found[Sha(sha)] = commit_of(Sha(sha), tuple(Sha(parent) for parent in parents.split()), author, message)
    return found


def _read_tips(mirror: Mirror, tips: Mapping[str, Sha], here: Mapping[str, Item], configs: ConfigCache) -> dict[str, Tip]:
    commits = {sha for sha in tips.values() if _is_commit(here, sha) and here[sha].size <= _LARGEST_COMMIT}
    files = {name: item.sha for name, item in here.items() if ":" in name and item.type == "blob" and item.size <= LARGEST_CONFIG}
    texts: dict[Sha, tuple[str, str]] = {}
    queues: dict[Sha, str | None] = {}
    for sha, content in contents(mirror, [*commits, *files.values()]):
        if sha in commits:
            texts[sha] = _headline(sha, content)
        else:
            config = configs.parse(content)
            queues[sha] = config.queue if isinstance(config, ProjectConfig) else None
    found = {}
    for branch, sha in tips.items():
        title, owner = texts.get(sha, ("", ""))
        file = files.get(f"{sha}:{_CONFIG}")
        found[branch] = Tip(title, owner, queues.get(file) if file else None)
    return found


def _headline(sha: Sha, content: bytes) -> tuple[str, str]:
    """Return (title, author) of a raw commit object."""
    head, _, message = content.partition(b"\n\n")
    headers = dict(line.split(b" ", 1) for line in reversed(head.split(b"\n")) if b" " in line and not line.startswith(b" "))
    encoding = headers.get(b"encoding", b"utf-8").decode(errors="replace")
    author = _decode(headers.get(b"author", b"").rpartition(b">")[0] + b">", encoding)
    commit = commit_of(sha, (), author, _decode(message, encoding))
    return commit.title, commit.owner


def _decode(text: bytes, encoding: str) -> str:
    try:
        return text.decode(encoding, "replace")
    except (LookupError, ValueError):
        return text.decode("utf-8", "replace")


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()
