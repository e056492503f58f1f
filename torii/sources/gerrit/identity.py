"""Who Torii is on a Gerrit, what of it is watched, and how that Gerrit is set up."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from torii.model.ids import ProjectName
from torii.sources.gerrit.derive import Rules
from torii.sources.gerrit.errors import GerritError
from torii.sources.gerrit.rest import GerritRest


@dataclass(frozen=True, slots=True)
class Watch:
    """What a source watches. `names` maps Gerrit's names of projects to ours; `first_look` is seconds.

    `files` and `groups` say whether any pipeline goes by them; `labels` are those that pipelines vote on.
    """

    connection: str
    url: str
    names: Mapping[ProjectName, ProjectName]
    labels: frozenset[str]
    ignore: tuple[str, ...] = ()
    first_look: float = 86_400.0
    files: bool = False
    groups: bool = False


class Identity:
    """Asked of Gerrit when first needed. Thread-safe."""

    def __init__(self, watch: Watch, rest: GerritRest) -> None:
        self._watch = watch
        self._rest = rest
        self._lock = threading.Lock()
        self._rules: Rules | None = None
        self._whole_topics = False

    def refresh(self) -> None:
        """Ask again. Raises GerritError."""
        own = self._rest.get("accounts/self").get("_account_id")
        server = self._rest.get("config/server/info")
        if not isinstance(own, int):
            raise GerritError(f"Gerrit {self._watch.connection!r} ({self._watch.url}) does not say which account Torii is there")
        watch = self._watch
        with self._lock:
            self._whole_topics = server.get("change", {}).get("submit_whole_topic") is True
            self._rules = Rules(watch.connection, watch.url, own, watch.labels, watch.ignore, watch.names)

    def rules(self) -> Rules:
        """Return the connection's rules. Raises GerritError where they are not known yet and Gerrit does not answer."""
        if self._rules is None:
            self.refresh()
        assert self._rules is not None
        return self._rules

    def whole_topics(self) -> bool:
        """Whether a submit of one change submits all of its topic, as far as was asked."""
        return self._whole_topics
