"""The SSH host keys that are known, from files as OpenSSH keeps them (see SSH_KNOWN_HOSTS FILE FORMAT in sshd(8)).

paramiko's own reader stops at `@cert-authority` and does not understand `@revoked` and wildcards, all of which a user's file may have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import paramiko
import structlog
from paramiko.hostkeys import HostKeyEntry, HostKeys, InvalidHostKey

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """What is known of one host: its keys, and those that it must not have any more."""

    good: tuple[paramiko.PKey, ...]
    revoked: tuple[paramiko.PKey, ...]

    def prefer(self, kinds: Iterable[str]) -> tuple[str, ...]:
        """Return the kinds of host keys in the order in which to ask for them: first those of which a key is known."""
        known = {key.get_name() for key in self.good}
        return tuple(sorted(kinds, key=lambda kind: _kind_of_key(kind) not in known))


def read_known_keys(paths: Iterable[Path], name: str) -> KnownKeys:
    """Return what the files say of the host `name`, which is `[host]:port` where the port is not 22.

    Lines that cannot be understood are passed over, as OpenSSH does, and so are certificate authorities. Raises OSError.
    """
    good: list[paramiko.PKey] = []
    revoked: list[paramiko.PKey] = []
    for path in paths:
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            words = line.split()
            marker = words.pop(0) if words and words[0].startswith("@") else ""
            if len(words) < 3 or words[0].startswith("#") or marker not in {"", "@revoked"} or not _names(words[0], name):
                continue
            try:
                entry = HostKeyEntry.from_line(" ".join(words))
            except (InvalidHostKey, paramiko.SSHException, ValueError) as error:
                log.warning("gerrit.known_host_unreadable", file=str(path), line=number, reason=str(error))
                continue
            if entry is not None:
                (revoked if marker else good).append(entry.key)
    return KnownKeys(tuple(good), tuple(revoked))


def _names(patterns: str, name: str) -> bool:
    """Say whether a line's first word, patterns with commas between or a hashed name, means `name`."""
    if patterns.startswith("|"):
        return len(patterns.split("|")) == 4 and _hashed(patterns, name)
    each = patterns.lower().split(",")
    name = name.lower()
    if any(pattern.startswith("!") and _matches(pattern[1:], name) for pattern in each):
        return False
    return any(_matches(pattern, name) for pattern in each if not pattern.startswith("!"))


def _hashed(pattern: str, name: str) -> bool:
    try:
        return HostKeys.hash_host(name.lower(), pattern) == pattern
    except (ValueError, AssertionError):
        return False


def _matches(pattern: str, name: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), name) is not None


def _kind_of_key(algorithm: str) -> str:
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm
