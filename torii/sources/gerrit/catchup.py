"""Everything that happened since some moment, by asking: after an outage, after a start, and now and then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from torii.model.ids import ProjectName
from torii.sources.gerrit.errors import GerritReplyTooLargeError
from torii.sources.gerrit.rest import GerritRest

log = structlog.get_logger()

PAGE = 50
"""Changes a page."""

MOST_PAGES = 2000

_NAMED = 30
"""Projects that a query names; where there are more, all are asked for, and the others left out."""


def updated_since(
    rest: GerritRest, since: float, projects: Sequence[ProjectName], options: Sequence[str]
) -> Iterator[list[Mapping[str, Any]]]:
    """Yield, page by page, the changes of `projects` that were updated at `since` (the server's clock) or later, newest first.

    A change that is updated meanwhile may come twice; none is left out that was updated before this began. Raises GerritError.
    """
    wanted = set(projects)
    moment = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d %H:%M:%S")
    query = f'since:"{moment}"'
    if len(wanted) <= _NAMED:
        query += " (" + " OR ".join(f"project:{quoted(name)}" for name in sorted(wanted)) + ")"
    start, size = 0, PAGE
    for _ in range(MOST_PAGES):
        params = [("q", query), *(("o", option) for option in options), ("n", str(size)), ("S", str(start))]
        try:
            reply = rest.get("changes/", params)
        except GerritReplyTooLargeError as error:
            if size == 1:
                log.error("gerrit.change_too_large", connection=rest.name, reason=str(error))
            start, size = start + (size == 1), max(1, size // 2)
            continue
        page = [each for each in reply if isinstance(each, Mapping)]
        yield [each for each in page if each.get("project") in wanted]
        if not page or page[-1].get("_more_changes") is not True:
            return
        start, size = start + len(page), min(PAGE, 2 * size)


def quoted(text: str) -> str:
    """Return `text` as one word of a query."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
