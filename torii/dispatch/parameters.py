"""The payload of a build on Gearman: one flat JSON object of strings, as Jenkins' plug-in wants it, signed with Torii's key."""

from __future__ import annotations

import json

from torii.gearman.envelope import SIGNATURE, sign_parameters
from torii.jobs import build_parameters
from torii.model.build import BuildRequest


def payload(request: BuildRequest, url: str, log_url: str, key: bytes) -> bytes:
    """Return what `request` is submitted with. `url` is where the staging ref is fetched from, `log_url` the build's page.

    ASCII whatever the parameters hold, with NULs and newlines escaped. Raises ValueError for a parameter that no environment
    variable can carry.
    """
    parameters = build_parameters(request, url, log_url)
    for name, value in parameters.items():
        if "\x00" in value or "\x00" in name or "=" in name or not name:
            raise ValueError(f"the parameter {name!r} has a NUL in it, or no name that an environment variable may have")
    return json.dumps({**parameters, SIGNATURE: sign_parameters(key, parameters)}).encode()
