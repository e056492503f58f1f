"""What may be asked of a job: its config, its builds, its name, whether it may run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from torii.testing.jenkins.http import (
    Answer,
    Request,
    Response,
    forbidden,
    login_first,
    missing,
    moved,
    nothing_submitted,
    oops,
    page,
    refused,
)
from torii.testing.jenkins.jobconfig import BadXmlError
from torii.testing.jenkins.state import Cause, Job

if TYPE_CHECKING:
    from torii.testing.jenkins.routes import Routes

_FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"


def create(routes: Routes, request: Request, parent: str) -> Response:
    """Answer `createItem` in the folder `parent`: from a config.xml, as a copy, or (as JJB makes folders) by a mode."""
    routes.need(request, "Job/Create")
    routes.post_only(request)
    name = request.get("name").strip()
    full = f"{parent}/{name}" if parent else name
    match request.get("mode"):
        case "copy":
            source = request.get("from")
            job = routes.core.job(f"{parent}/{source}" if parent else source)
            if job is None:
                return refused(f"No such job: {source}")
            made = routes.core.copy(job, full)
            return moved(f"{routes.shapes.root}{made.path}configure")
        case mode if mode == _FOLDER:
            made = routes.core.create(full, f"<{_FOLDER}/>".encode())
            return moved(f"{routes.shapes.root}{made.path}configure")
    kind = request.headers.get("Content-Type", "")
    if not kind:
        return refused("No Content-Type header set")
    if not kind.startswith(("application/xml", "text/xml")):
        return refused("No mode given")
    routes.core.create(full, request.body)
    return Response()


def answer(routes: Routes, request: Request, job: Job, rest: list[str]) -> Response:
    """Answer a request for one of the job's own pages."""
    match rest:
        case []:
            if request.method == "DELETE":
                return _delete(routes, request, job)
            return page(f"{job.short} [Jenkins]") if request.slash else moved(f"{routes.shapes.root}{job.path}")
        case ["api", kind]:
            return routes.api(request, routes.shapes.job(job), kind)
        case ["config.xml"]:
            return _config(routes, request, job)
        case ["configure"]:
            return page(f"{job.short} Config [Jenkins]")
        case ["doDelete"]:
            routes.post_only(request)
            return _delete(routes, request, job)
        case [("enable" | "disable") as what]:
            routes.need(request, "Job/Configure")
            routes.post_only(request)
            routes.core.disable(job, what == "disable")
            return moved(f"{routes.shapes.root}{job.path}")
        case ["doRename" | "confirmRename"]:
            routes.need(request, "Job/Configure")
            routes.post_only(request)
            routes.core.rename(job, request.get("newName"))
            return moved(f"{routes.shapes.root}{job.path}".rstrip("/"))
        case ["submitDescription"]:
            routes.need(request, "Job/Configure")
            routes.post_only(request)
            job.config = replace(job.config, description=request.get("description"))
            return moved(f"{routes.shapes.root}{job.path}")
        case ["createItem"] if job.config.is_folder:
            return create(routes, request, job.name)
        case [("build" | "buildWithParameters") as what]:
            return _build(routes, request, job, what == "buildWithParameters")
    return missing(request.target)


def _config(routes: Routes, request: Request, job: Job) -> Response:
    if request.method != "POST":
        if not routes.may(request, "Job/ExtendedRead"):
            routes.need(request, "Job/Configure")
        return Response(200, job.xml, {"Content-Type": "application/xml"})
    routes.need(request, "Job/Configure")
    try:
        routes.core.save(job, request.body)
    except BadXmlError:
        return oops()
    return Response()


def _delete(routes: Routes, request: Request, job: Job) -> Response:
    routes.need(request, "Job/Delete")
    parent = routes.core.jobs.get(job.parent)
    routes.core.delete(job)
    if request.method == "DELETE":
        return Response(204)
    return moved(f"{routes.shapes.root}{parent.path if parent else ''}")


def _build(routes: Routes, request: Request, job: Job, given: bool) -> Response:
    token = bool(job.config.token) and request.get("token") == job.config.token
    if not routes.may(request, "Job/Build") and not token:
        raise Answer(forbidden(request.user, "Job/Build") if request.user else login_first(request.target))
    if not token:
        routes.post_only(request)
    if not job.buildable:
        return page("Error", 409)
    declared = job.config.parameters
    text = request.get("delay").removesuffix("sec")
    if (given and not declared) or (text and not text.isdigit()):
        return oops()
    form = "json" in request.query
    if declared and not given and not form:
        return nothing_submitted(request.target)
    chosen = _form(request.get("json"), {each.name for each in declared}) if form else request
    parameters = {each.name: chosen.get(each.name, each.default) for each in declared}
    cause = Cause(request.user, remote=token and not request.user)
    item, new = routes.core.ask(job, parameters, cause, delay=float(text) if text else None)
    if form:
        return moved(f"{routes.shapes.root}{job.path}", 201)
    return moved(f"{routes.shapes.root}queue/item/{item.id}/", 201 if new else 303)


def _form(text: str, declared: set[str]) -> dict[str, str]:
    """Return the parameters in the form that Jenkins' own page sends. Raises ValueError, which Jenkins answers with 500."""
    found = json.loads(text)
    chosen = {each["name"]: str(each["value"]) for each in found["parameter"]} if "parameter" in found else None
    if chosen is None or not chosen.keys() <= declared:
        raise ValueError("no such parameter definition")
    return chosen
