"""One project of a plain git connection: its remote, the remote of its staging refs, and its mirror on this disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torii.config.settings import GitConnection, ProjectSettings
from torii.git import Mirror, Remote
from torii.git.credentials import credentials_of
from torii.git.mirror import mirror_path
from torii.model.ids import ProjectName, Sha
from torii.sources.git.refs import parse_ls_remote


class SourceRemote(Remote):
    """A remote whose branches are read as they are: refs that Torii leaves alone too, since it says that it does."""

    def heads(self, *names: str) -> bytes:
        """Return what `ls-remote` prints of all branches, or of those of `names` (full names) that are there.

        Raises RemoteUnavailableError.
        """
        return self._run(["ls-remote", "--quiet", "--refs", "--heads", "--", self._address, *names], cwd=Path("/")).stdout


@dataclass(frozen=True, slots=True)
class Repository:
    """Where `project` lives. `staging` is None where its staging refs are on `remote` itself."""

    project: ProjectName
    remote: SourceRemote
    staging: Remote | None
    mirror: Mirror

    def read_refs(self, names: Iterable[str]) -> dict[str, Sha]:
        """Return what the remote has now of the branches `names` (full names). Raises RemoteUnavailableError."""
        wanted = tuple(names)
        return {ref: Sha(sha) for ref, sha in parse_ls_remote(self.remote.heads(*wanted)).items() if ref in wanted}


def open_repository(connection: GitConnection, settings: ProjectSettings, mirrors: Path) -> Repository:
    """Return the repository of `settings`, with the credentials of `connection`. Raises OperatorError where its password is missing."""
    credentials = credentials_of(connection)
    remote = SourceRemote(settings.url, credentials, connection.timeout)
    staging = None if settings.staging_url == settings.url else Remote(settings.staging_url, credentials, connection.timeout)
    return Repository(settings.name, remote, staging, Mirror(mirrors / mirror_path(Path(), settings.name).name))
