"""JSON Schemas of the two files, for editors: made of the very models that check the files, so that they cannot drift apart."""

from __future__ import annotations

import copy

from torii.config.located import Schema, Section, json_schema
from torii.config.project_file import ProjectFile
from torii.config.server_file import ServerFile

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def torii_schema() -> Schema:
    """Return the JSON Schema of `torii.yml`."""
    return _published(ProjectFile, "torii.yml")


def server_schema() -> Schema:
    """Return the JSON Schema of `server.yml`."""
    return _published(ServerFile, "server.yml")


def _published(model: type[Section], title: str) -> Schema:
    made = copy.deepcopy(json_schema(model))
    for part in (made, *made["$defs"].values()):
        part.pop("title", None)  # it only repeats the name of a Python class
    return {"$schema": DRAFT, "title": title, **made}
