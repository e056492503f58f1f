"""Where to look for what Jenkins Job Builder complains of without saying where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torii.jobs.files import OWN, JobFiles, PartFile

_QUOTED = re.compile(r"'([^'\n]+)'|\"([^\"\n]+)\"")
_SHOWN = 5


def suspects(words: str, files: JobFiles) -> str:
    """Return the places in a team's own files that `words` may be about, such as `.../jjb/defaults.yaml:5 (ci-config, branch main)`.

    They are the lines with the name that `words` quote first of those that stand there; where none does, the files. Empty where `words`
    name one of `files`, or where all are Torii's own.
    """
    every = [*files.templates.values(), *files.macros.values()]
    if any(str(file.path) in words for file in every):
        return ""
    team = [file for file in every if file.origin != OWN]
    for name in (one or other for one, other in _QUOTED.findall(words)):
        if found := list(_lines(name, team)):
            return _listed(found)
    return _listed([f"{file.path} ({file.origin})" for file in team])


def _lines(name: str, files: list[PartFile]) -> Iterator[str]:
    word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    for file in files:
        for number, line in enumerate(file.data.decode("utf-8", "replace").splitlines(), 1):
            if word.search(line):
                yield f"{file.path}:{number} ({file.origin})"


def _listed(places: list[str]) -> str:
    more = [f"{len(places) - _SHOWN} more"] if len(places) > _SHOWN else []
    return ", ".join([*places[:_SHOWN], *more])
