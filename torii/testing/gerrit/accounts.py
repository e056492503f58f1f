"""The accounts of the lab's Gerrit, and its REST as one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from torii.testing.gerrit.errors import LabError, RefusedError

LIMIT = 60.0
"""Seconds that one request may take."""

_MAGIC = ")]}'"
"""What Gerrit puts before its JSON, so that no page can load it as a script."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody on the lab's Gerrit. `key` is a private SSH key, `password_file` holds `password`, that of HTTP, for `file:` references."""

    username: str
    name: str
    email: str
    password: str
    key: Path
    password_file: Path


@dataclass(frozen=True, slots=True)
class Rest:
    """Gerrit's REST at `url` as the user `name`. Not meant for much traffic: it is what a person at the pages would do."""

    url: str
    name: str
    password: str
    _session: requests.Session = field(default_factory=requests.Session, repr=False, compare=False)

    def get(self, path: str, **parameters: str | int | Sequence[str]) -> Any:
        """Return the JSON at `path`, such as `/changes/12/detail`. Raises RefusedError."""
        return self._ask("GET", path, None, parameters)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Post JSON and return what came back."""
        return self._ask("POST", path, body)

    def put(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Put JSON and return what came back."""
        return self._ask("PUT", path, body)

    def delete(self, path: str) -> Any:
        """Delete what is at `path`."""
        return self._ask("DELETE", path, None)

    def put_text(self, path: str, text: str) -> Any:
        """Post plain text, which is how an SSH key is added."""
        return self._ask("POST", path, text)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | str | None, parameters: Mapping[str, Any] | None = None) -> Any:
        self._session.trust_env = False  # no proxy and no ~/.netrc on the way to loopback
        data = json.dumps(body) if body is not None and not isinstance(body, str) else body
        kind = "text/plain" if isinstance(body, str) else "application/json"
        try:
            reply = self._session.request(
                method,
                f"{self.url}/a{path}",
                params=parameters,
                data=data.encode() if data is not None else None,
                headers={"Content-Type": kind} if data is not None else {},
                auth=(self.name, self.password),
                timeout=LIMIT,
            )
        except requests.RequestException as error:
            raise LabError(f"{method} {path} as {self.name}: {error}") from error
        if reply.status_code >= 400:
            raise RefusedError(f"{method} {path} as {self.name}", reply.status_code, reply.text)
        text = reply.text.removeprefix(_MAGIC)
        return json.loads(text) if text.strip() and text != reply.text else text


def quoted(name: str) -> str:
    """Return a name (of a project, branch, group, label) as one step of a path."""
    return quote(name, safe="")
