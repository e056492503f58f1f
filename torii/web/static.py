"""Style sheet, scripts and icon. Few and small, they are served from memory, each at an address that holds its hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from torii.web import ansi

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


def _load() -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES}
    return {**found, "ansi.css": ansi.stylesheet().encode()}


_ASSETS = _load()
_HASHES = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in _ASSETS.items()}


def asset_url(name: str) -> str:
    """Return the address of an asset. Raises KeyError for one that there is not."""
    return f"/static/{name}?{_HASHES[name]}"


def asset(request: Request) -> Response:
    """Answer with an asset."""
    name = request.path_params["name"]
    if name not in _ASSETS:
        raise HTTPException(404, "There is no such file.")
    headers = {"etag": f'"{_HASHES[name]}"', "cache-control": _FOR_EVER if request.url.query == _HASHES[name] else "no-cache"}
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(_ASSETS[name], media_type=_TYPES[Path(name).suffix], headers=headers)
