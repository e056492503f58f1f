"""What may be asked of a build: what it is, its log, what it left, and that it end."""

from __future__ import annotations

import io
import mimetypes
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from torii.testing.jenkins.http import Request, Response, elsewhere, json_answer, missing, moved, oops, page
from torii.testing.jenkins.log import pieces, shown
from torii.testing.jenkins.rendering import by_tree, parse_tree
from torii.testing.jenkins.state import Build, Job

if TYPE_CHECKING:
    from torii.testing.jenkins.routes import Routes

_ALIASES = {
    "lastBuild": (None, "SUCCESS", "UNSTABLE", "FAILURE", "ABORTED", "NOT_BUILT"),
    "lastCompletedBuild": ("SUCCESS", "UNSTABLE", "FAILURE", "ABORTED", "NOT_BUILT"),
    "lastFailedBuild": ("FAILURE",),
    "lastStableBuild": ("SUCCESS",),
    "lastSuccessfulBuild": ("SUCCESS", "UNSTABLE"),
    "lastUnstableBuild": ("UNSTABLE",),
    "lastUnsuccessfulBuild": ("UNSTABLE", "FAILURE", "ABORTED", "NOT_BUILT"),
}
_TEXT = "text/plain;charset=utf-8"


def find(job: Job, name: str) -> Build | None:
    """Return the build that `name` means: its number, or one such as `lastBuild`."""
    if name.isdigit():
        return job.builds.get(int(name))
    wanted = _ALIASES.get(name)
    return next((build for build in job.newest() if wanted and build.result in wanted), None)


def answer(routes: Routes, request: Request, build: Build, rest: list[str]) -> Response:
    """Answer a request for one of the build's pages."""
    here = f"{routes.shapes.root}{build.path}"
    match rest:
        case []:
            return page(f"{build.job.short} {build.display} [Jenkins]") if request.slash else moved(here)
        case ["api", kind]:
            return routes.api(request, routes.shapes.build(build), kind)
        case ["logText", "progressiveText"]:
            return _progressive(request, build)
        case ["consoleText"]:
            return _console(build)
        case ["console" | "consoleFull"]:
            return page(f"{build.job.short} {build.display} Console [Jenkins]")
        case ["stop" | "term" | "kill"]:
            routes.need(request, "Job/Cancel")
            routes.post_only(request)
            if build.building:
                routes.core.interrupt(build, request.user or "anonymous")
            return moved(here)
        case ["submitDescription"]:
            routes.need(request, "Run/Update")
            routes.post_only(request)
            build.description = request.get("description")
            return moved(here)
        case ["doDelete"]:
            routes.need(request, "Run/Delete")
            routes.post_only(request)
            routes.core.forget(build)
            return moved(f"{routes.shapes.root}{build.job.path}")
        case ["testReport", "api", "json"]:
            return _tests(request, build)
        case ["artifact", *path]:
            return _artifact(request, build, path)
    return elsewhere()


def _progressive(request: Request, build: Build) -> Response:
    text = request.get("start", "0")
    if not text.isdigit():
        return oops()
    start, size = int(text), build.log.size
    if start > size:
        start = 0  # as Jenkins does
    headers = {"Content-Type": _TEXT, "X-Text-Size": str(size)}
    if build.building:
        headers["X-More-Data"] = "true"
    return Response(200, _body(build, start, size, crlf=True), headers)


def _console(build: Build) -> Response:
    return Response(200, _body(build, 0, build.log.size, crlf=False), {"Content-Type": _TEXT}, squeeze=True)


def _body(build: Build, start: int, end: int, crlf: bool) -> bytes | Iterator[bytes]:
    """Return that part of the log: at once where it is small, else piece by piece."""
    if end - start > 1 << 20:
        return pieces(build.log, start, end, crlf)
    data = shown(build.log.read(start, end))
    return data.replace(b"\n", b"\r\n") if crlf else data


def _tests(request: Request, build: Build) -> Response:
    if build.tests is None:
        return elsewhere()
    tree = request.get("tree")
    return json_answer(by_tree(build.tests, parse_tree(tree)) if tree else build.tests)


def _artifact(request: Request, build: Build, path: list[str]) -> Response:
    if path and path[-2:-1] == ["*zip*"]:
        return _zip(build, "/".join(path[:-2]))
    name = "/".join(path)
    content = build.artifacts.get(name)
    if content is None:
        inside = [each for each in build.artifacts if each.startswith(f"{name}/" if name else "")]
        return page(f"Index of {name}") if inside else missing(request.target)
    data = content.read_bytes() if isinstance(content, Path) else content
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if span is None:
        return Response(200, data, {"Content-Type": kind}, squeeze=True)
    first, last = int(span[1]), min(int(span[2] or len(data)), len(data) - 1)
    headers = {"Content-Type": kind, "Content-Range": f"bytes {first}-{last}/{len(data)}"}
    return Response(206, data[first : last + 1], headers, squeeze=True)


def _zip(build: Build, folder: str) -> Response:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in build.artifacts.items():
            if not folder or name.startswith(f"{folder}/"):
                top = "archive" if not folder else folder.rpartition("/")[2]
                inside = name[len(folder) :].lstrip("/")
                archive.writestr(f"{top}/{inside}", content.read_bytes() if isinstance(content, Path) else content)
    return Response(200, packed.getvalue(), {"Content-Type": "application/zip"})
