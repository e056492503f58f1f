"""The payload of a build on Gearman: one flat JSON object of strings, as Jenkins' plug-in wants it, signed with Torii's key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from torii.gearman.envelope import SIGNATURE, sign_parameters
from torii.jobs import build_parameters
from torii.jobs.xml import parse
from torii.model.build import BuildRequest

_PASSWORD = re.compile(r"^([a-z][a-z0-9+.-]*://[^/@:]*):[^/@]*@", re.IGNORECASE)


def payload(request: BuildRequest, url: str, log_url: str, key: bytes, defaults: Mapping[str, str] | None = None) -> bytes:
    """Return what `request` is submitted with. `url` is where the staging ref is fetched from, `log_url` the build's page.

    `defaults` are of parameters that the job declares: those that the request does not give have them, since Jenkins' plug-in leaves a
    declared parameter that is missing unset. ASCII whatever the parameters hold, with NULs and newlines escaped; a password in `url` is
    left out. Raises ValueError for a parameter that no environment variable can carry.
    """
    parameters = {**(defaults or {}), **build_parameters(request, without_password(url), log_url)}
    for name, value in parameters.items():
        if "\x00" in value or "\x00" in name or "=" in name or not name:
            raise ValueError(f"the parameter {name!r} has a NUL in it, or no name that an environment variable may have")
    return json.dumps({**parameters, SIGNATURE: sign_parameters(key, parameters)}).encode()


def declared(xml: bytes) -> dict[str, str]:
    """Return the parameters that the job `xml` declares with their defaults, empty where one has none."""
    root = parse(xml)
    found: dict[str, str] = {}
    for each in root.iterfind(".//parameterDefinitions/*") if root is not None else ():
        name = each.findtext("name") or ""
        choices = [choice.text or "" for choice in each.iterfind(".//choices//string")]
        found[name] = each.findtext("defaultValue") or next(iter(choices), "")
    found.pop("", None)
    return found


def without_password(url: str) -> str:
    """Return `url` without the password in it, if there is one: a build's parameters can be read by whoever sees the build."""
    return _PASSWORD.sub(r"\1@", url)
