"""The parameters of every build: what a job declares, and what a request fills in."""

from __future__ import annotations

from torii.model.build import BuildRequest

PARAMETERS = (
    "TORII_UUID",
    "TORII_PIPELINE",
    "TORII_PROJECT",
    "TORII_BRANCH",
    "TORII_CHANGE",
    "TORII_PATCHSET",
    "TORII_CHANGES",
    "TORII_REF",
    "TORII_COMMIT",
    "TORII_URL",
    "TORII_OLDREV",
    "TORII_NEWREV",
    "TORII_LOG_URL",
)
"""What every job declares; the macro `torii-parameters` in `jjb/macros.yaml` says what each is."""

SETTINGS = ("TORII_TIMEOUT", "TORII_IMAGE", "TORII_COMMENTS")
"""Declared for their default alone: it tells Torii's worker what Jenkins has no exact place for. What a payload says of them is ignored."""

RESERVED = "TORII_"
"""A job's own variables may not begin with this."""


def build_parameters(request: BuildRequest, url: str, log_url: str) -> dict[str, str]:
    """Return the flat parameters of a build: every declared one, since the Gearman plugin applies no defaults.

    `url` is the repository that has the staging ref, `log_url` the build's page.
    """
    return {
        **dict(request.job.variables),
        "TORII_UUID": request.id,
        "TORII_PIPELINE": request.pipeline,
        "TORII_PROJECT": request.project,
        "TORII_BRANCH": request.branch,
        "TORII_CHANGE": request.change,
        "TORII_PATCHSET": request.patchset,
        "TORII_CHANGES": " ".join(f"{change},{patchset}" for change, patchset in request.changes),
        "TORII_REF": request.ref,
        "TORII_COMMIT": request.commit,
        "TORII_URL": url,
        "TORII_OLDREV": request.old or "",
        "TORII_NEWREV": request.new or "",
        "TORII_LOG_URL": log_url,
    }
