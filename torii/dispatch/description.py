"""What is written on a build in Jenkins: links to its change, its pipeline and its log in Torii."""

from __future__ import annotations

import html
from urllib.parse import quote

from torii.model.build import BuildRequest


def description(request: BuildRequest, page: str) -> str:
    """Return HTML for the build of `request`, whose page in Torii is `page` (`.../builds/<id>`); all that came from outside is escaped."""
    base = page.removesuffix(f"/builds/{request.id}")
    change = _link(f"{base}/changes/{quote(request.change, safe='/:')}", f"{request.change}, {request.patchset}")
    return f"{change} in {_link(f'{base}/', request.pipeline)} of {html.escape(request.project)} | {_link(page, 'log in Torii')}"


def _link(url: str, text: str) -> str:
    return f'<a href="{html.escape(url)}">{html.escape(text)}</a>'
