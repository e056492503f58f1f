"""The names of functions on Gearman, and what each takes: what Torii and its workers have agreed on.

- `build:<job>` and `build:<job>:<label>`, `stop:<manager>`, `set_description:<manager>` are those of Jenkins' Gearman plug-in.
  Parameters of a build are one flat JSON object of strings, signed (`torii.gearman.envelope.check_parameters`). Replies are the
  plug-in's: one WORK_DATA `{name, number, manager, worker, url, node_name, node_labels}` at the start, WORK_COMPLETE with the same
  and `result` at the end. `stop` takes `{"name", "number", "uuid", "TORII_SIGNATURE"}`: Jenkins reads the first two; Torii's
  worker may go by `uuid` alone, for it is all that a restarted Torii knows (then `name` and `number` are absent). `set_description`
  takes the same and `html_description`. Who runs the build, or ran it lately, answers WORK_COMPLETE; who does not know it,
  WORK_EXCEPTION: that is how Torii finds a build again whose Gearman server was lost. `<manager>` of a Torii worker is `<worker>`.
- `torii:define:<worker>` takes a sealed `{"name", "xml", "label"}` (label: an expression, or null) and registers that job's build
  functions if the worker has the labels, or a sealed `{"name", "remove": true}`. Its answer, WORK_COMPLETE with the JSON
  `{"functions": [build functions now registered for this job], "labels": [the worker's own]}`, comes after CAN_DO was sent.
  `<worker>` differs between any two runs of a worker, so that nobody takes a new one for the old one that knew the jobs.
"""

from __future__ import annotations

import re

DEFINE = "torii:define:"
STOP = "stop:"
DESCRIBE = "set_description:"
BUILD = "build:"
MERGE = "torii:merge"

_ATOM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_UNSAFE = re.compile(r"[\x00-\x20\x7f:]")


def build_function(job: str, label: str | None) -> str:
    """Return the function that runs `job` on a worker that satisfies `label`.

    Where `label` is an expression (`a && b`) the job's bare function does: only workers that satisfy the expression register it.
    Raises ValueError for a job name that cannot be part of a function's name.
    """
    if not job or _UNSAFE.search(job):
        raise ValueError(f"{job!r} cannot be the name of a job on Gearman: it is empty or has a colon, a space or a control character")
    if label and _ATOM.fullmatch(label):
        return f"{BUILD}{job}:{label}"
    return f"{BUILD}{job}"


def stop_function(manager: str) -> str:
    """Return the function that stops builds of `manager`, as its WORK_DATA names it."""
    return f"{STOP}{manager}"


def describe_function(manager: str) -> str:
    """Return the function that sets the description of a build of `manager`."""
    return f"{DESCRIBE}{manager}"


def define_function(worker: str) -> str:
    """Return the function through which `worker` learns of jobs."""
    return f"{DEFINE}{worker}"
