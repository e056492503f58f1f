"""A repository somewhere else: reads its refs, fetches from it, pushes to it. Overwrites nothing whose value it was not told to expect."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from torii.git import environment, process
from torii.git.credentials import Credentials, split_url
from torii.git.errors import GitError, RefMissingError, RemoteUnavailableError, TimedOutError
from torii.git.mirror import Mirror, tracking
from torii.git.names import check_ref, check_sha, check_url, redact
from torii.git.process import Completed
from torii.model.ids import Sha

ABSENT = Sha("0" * 40)
"""As what a `RefUpdate` expects: the ref must not be there yet."""

_BATCH = 1000
"""Refs a push: their names must fit a command line."""

_MISSING = re.compile(r"couldn't find remote ref (\S+)")
_NOTHING_TO_DELETE = "remote ref does not exist"
_NOISE = {
    "fatal: Could not read from remote repository.",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
}
_FETCHED = re.compile(r"(?:(?P<kind>branch|tag|remote-tracking branch) )?'(?P<name>\S+)' of ")
_PREFIX = {"branch": "refs/heads/", "tag": "refs/tags/", "remote-tracking branch": "refs/remotes/", None: ""}
_SUMMARY = re.compile(r"\[[^]]*\] \((?P<reason>.*)\)\Z|\[(?P<bare>[^]]*)\]\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """Set `ref` to `new` (None: delete it).

    `expect` is what the remote must have there now, else nothing happens: a commit, or ABSENT. None leaves it to git's own rule: new and
    forward only. `rewind` allows `new` not to contain `expect`; without it such an update is refused before it is sent.
    """

    ref: str
    new: Sha | None
    expect: Sha | None = None
    rewind: bool = False


@dataclass(frozen=True, slots=True)
class Pushed:
    """The remote has it as asked, now or already."""


@dataclass(frozen=True, slots=True)
class Stale:
    """Nothing happened to this ref: the remote has something else there than was expected."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Nothing happened to this ref, for `reason`, in the remote's words."""

    reason: str


PushOutcome = Pushed | Stale | Rejected


class Remote:
    """The repository at `url`, spoken to with `credentials`. Each command is killed after `timeout` seconds."""

    def __init__(self, url: str, credentials: Credentials | None = None, timeout: float = 60.0) -> None:
        credentials = credentials or Credentials()
        self._address, login, self._secrets = split_url(check_url(url), credentials)
        self._timeout = timeout
        self._environment = environment.remote(credentials, min(timeout, 20.0), login)
        self.shown = redact(url)
        """The address as it may be shown to anybody."""

    def __repr__(self) -> str:
        return f"Remote({self.shown!r})"

    def ls_remote(self, patterns: Sequence[str] = ()) -> dict[str, Sha]:
        """Return the refs (full names) that match any of `patterns`, globs in which `*` also crosses slashes; all where there are none.

        Raises RemoteUnavailableError. Names that are not UTF-8 are left out: no part of Torii could carry them.
        """
        options = ["--heads"] if patterns and all(pattern.startswith("refs/heads/") for pattern in patterns) else []
        for pattern in patterns:
            check_ref(pattern.replace("*", "x"))
        done = self._run(["ls-remote", "--quiet", "--refs", *options, "--", self._address, *patterns], cwd=Path("/"))
        found: dict[str, Sha] = {}
        for line in done.stdout.splitlines():
            commit, _, name = line.partition(b"\t")
            try:
                found[name.decode()] = check_sha(commit.decode())
            except UnicodeDecodeError:
                continue
        # git also lets a pattern match the end of a longer name.
        return {ref: commit for ref, commit in found.items() if not patterns or any(fnmatchcase(ref, each) for each in patterns)}

    def head(self) -> str | None:
        """Return the full name of the branch that the remote's HEAD stands for, None for none. Raises RemoteUnavailableError."""
        done = self._run(["ls-remote", "--quiet", "--symref", "--", self._address, "HEAD"], cwd=Path("/"))
        for line in done.stdout.splitlines():
            if line.startswith(b"ref: refs/heads/") and line.endswith(b"\tHEAD"):
                return check_ref(line[5:-5].decode(errors="replace"))
        return None

    def fetch(self, mirror: Mirror, refs: Iterable[str], track: Iterable[str] = ()) -> dict[str, Sha]:
        """Fetch `refs` and `track` in one go into `mirror` and return what each is at, as read in this very fetch.

        `track` is for refs that live long (branches): the mirror remembers them, so that later fetches transfer only what is new. Raises
        RefMissingError, naming all refs that the remote does not have (then nothing was fetched), or RemoteUnavailableError.
        """
        kept = [check_ref(ref) for ref in dict.fromkeys(track)]
        wanted = kept + [check_ref(ref) for ref in dict.fromkeys(refs) if ref not in kept]
        if not wanted:
            return {}
        specs = [f"+{ref}:{tracking(ref)}" if ref in kept else ref for ref in wanted]
        with mirror.private() as folder:
            options = ["--quiet", "--no-tags", "--no-auto-maintenance", "--no-recurse-submodules", "--refmap=", "--stdin"]
            command = [f"--git-dir={folder}", "fetch", *options, "--", self._address]
            done = self._start(command, mirror.path, "".join(f"{spec}\n" for spec in specs))
            found = dict(_fetched(folder / "FETCH_HEAD"))
        # A failure with everything fetched is a lost race for one of the mirror's own refs, which are hints only.
        if done.status == 0 or not set(wanted) - found.keys():
            return {ref: found[ref] for ref in wanted}
        if _MISSING.search(done.stderr):
            there = self.ls_remote(wanted)
            if missing := tuple(ref for ref in wanted if ref not in there):
                raise RefMissingError(self.shown, missing)
        raise self._failed("fetch", done)

    def push(self, mirror: Mirror, updates: Sequence[RefUpdate], *, atomic: bool = False) -> dict[str, PushOutcome]:
        """Push `updates` from `mirror`, in one push for every thousand, and return what became of each ref.

        With `atomic`, all happen or none does (one push, whatever their number). Raises RemoteUnavailableError where the remote does not
        say: then it is unknown which took effect, and asking again is safe.
        """
        outcomes: dict[str, PushOutcome] = {}
        sendable = []
        for update in updates:
            check_ref(update.ref)
            if refusal := _rewinds(mirror, update):
                outcomes[update.ref] = refusal
            else:
                sendable.append(update)
        if atomic and outcomes:
            return outcomes | {update.ref: Rejected("another ref of the same push was refused") for update in sendable}
        size = len(sendable) if atomic else _BATCH
        for first in range(0, len(sendable), size or 1):
            outcomes |= self._push(mirror, sendable[first : first + size], atomic)
        return outcomes

    def _push(self, mirror: Mirror, updates: Sequence[RefUpdate], atomic: bool) -> dict[str, PushOutcome]:
        options = ["--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", *(["--atomic"] if atomic else [])]
        options += [f"--force-with-lease={update.ref}:{_expected(update.expect)}" for update in updates if update.expect is not None]
        specs = [f"{check_sha(update.new) if update.new else ''}:{update.ref}" for update in updates]
        mirror.ensure()
        done = self._start([f"--git-dir={mirror.path}", "push", *options, "--", self._address, *specs], mirror.path)
        outcomes = dict(_pushed(done.stdout.decode(errors="replace"), redact(done.stderr, *self._secrets)))
        if done.status != 0 and _NOTHING_TO_DELETE in done.stderr and len(outcomes) < len(updates):
            return self._push_present(mirror, updates, atomic)
        if set(outcomes) != {update.ref for update in updates}:
            raise self._failed("push", done)
        return outcomes

    def _push_present(self, mirror: Mirror, updates: Sequence[RefUpdate], atomic: bool) -> dict[str, PushOutcome]:
        # git sends nothing at all where one ref to delete is gone already, so those are taken out and the rest is pushed.
        there = self.ls_remote([update.ref for update in updates if update.new is None])
        gone = [update for update in updates if update.new is None and update.ref not in there]
        rest = [update for update in updates if update not in gone]
        if not gone:
            raise RemoteUnavailableError(f"git push to {self.shown} failed: its refs change faster than they can be read")
        return {update.ref: Pushed() for update in gone} | (self._push(mirror, rest, atomic) if rest else {})

    def _run(self, arguments: Sequence[str], cwd: Path) -> Completed:
        done = self._start(arguments, cwd)
        if done.status != 0:
            raise self._failed(arguments[0], done)
        return done

    def _start(self, arguments: Sequence[str], cwd: Path, given: str | None = None) -> Completed:
        try:
            return process.run(
                arguments, cwd=cwd, env=self._environment, limit=self._timeout, given=None if given is None else given.encode()
            )
        except TimedOutError as error:
            hint = "; if so much is to be transferred, raise the connection's timeout" if "fetch" in arguments else ""
            raise RemoteUnavailableError(f"{self.shown} did not answer in time: {error}{hint}") from error
        except GitError as error:
            raise RemoteUnavailableError(redact(str(error), *self._secrets)) from error

    def _failed(self, verb: str, done: Completed) -> RemoteUnavailableError:
        ending = f"killed by signal {-done.status}" if done.status < 0 else f"exit status {done.status}"
        lines = [line.strip() for line in redact(done.stderr, *self._secrets).splitlines()]
        said = "; ".join(line for line in lines if line and line not in _NOISE) or ending
        return RemoteUnavailableError(f"git {verb} with {self.shown} failed: {said}")


def _fetched(fetch_head: Path) -> Iterator[tuple[str, Sha]]:
    # "<id> TAB [not-for-merge] TAB branch 'main' of <url>"; other refs than branches and tags stand with their full name.
    if not fetch_head.exists():
        return
    for line in fetch_head.read_text(errors="replace").splitlines():
        commit, _, what = line.split("\t", 2)
        if match := _FETCHED.match(what):
            yield _PREFIX[match["kind"]] + match["name"], check_sha(commit)


def _pushed(porcelain: str, stderr: str) -> Iterator[tuple[str, PushOutcome]]:
    # "<flag> TAB <from>:<to> TAB <summary> (<reason>)", see OUTPUT in git-push(1).
    said = " ".join(line.removeprefix("remote:").strip() for line in stderr.splitlines() if line.startswith("remote:"))
    for line in porcelain.splitlines():
        flag, *rest = line.split("\t")
        if len(rest) != 2 or len(flag) != 1:
            continue
        ref = rest[0].partition(":")[2]
        if flag != "!":
            yield ref, Pushed()
            continue
        summary = _SUMMARY.match(rest[1])
        reason = (summary["reason"] or summary["bare"]) if summary else rest[1]
        if reason == "stale info":
            yield ref, Stale("the remote has something else there than was expected")
        else:
            yield ref, Rejected(f"{reason}: {said}" if said else reason)


def _expected(commit: Sha) -> str:
    return "" if set(commit) == {"0"} else check_sha(commit)


def _rewinds(mirror: Mirror, update: RefUpdate) -> Rejected | None:
    # A lease also lets git go backwards. What was not asked to rewind must contain what it replaces.
    if update.rewind or update.new is None or not update.expect or not _expected(update.expect):
        return None
    if not mirror.has(update.expect) or not mirror.is_ancestor(update.expect, update.new):
        return Rejected(f"not a fast-forward: {update.new} does not contain {update.expect}")
    return None
