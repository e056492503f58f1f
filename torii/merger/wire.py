"""Merge requests and their answers as JSON, the way they travel over Gearman in sealed envelopes.

A request is `{"id", "merge"}` (or `"drop"`, or `"collect"`), an answer `{"id", "answers", "texts"}` (or `"refs"`, or `"error"`) with
the same id, which is the digest of what was asked: so an answer fits one question only. A file that many stages share travels once,
under its digest.
Bytes that are no UTF-8 travel as lone surrogates (PEP 383), which JSON can escape.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from cattrs import Converter

from torii.errors import OperatorError
from torii.merger.answer import ConfigFile, StageAnswer, StagedState
from torii.model.build import StagedBranch
from torii.model.command import Merge
from torii.model.event import Conflict, MergeUnavailable
from torii.model.ids import BuildSetId, ProjectName

Read = TypeVar("Read")

MERGE = "torii:merge"
DROP = "torii:drop"
COLLECT = "torii:collect"

_KINDS: Mapping[str, type[Any]] = {"conflict": Conflict, "unavailable": MergeUnavailable}
_converter = Converter(forbid_extra_keys=True)

Refs = tuple[tuple[ProjectName, str], ...]
"""Staging refs, as (project, ref)."""


class MalformedMessageError(OperatorError):
    """A merger and its client do not speak the same version of Torii's language: the message says where they differ."""


def question(kind: str, content: Any) -> dict[str, Any]:
    """Return the request of `kind` (`merge`, `drop` or `collect`) for `content`, with its id."""
    plain = _converter.unstructure(content)
    body = json.dumps([kind, plain], sort_keys=True)
    return {"id": hashlib.sha256(body.encode()).hexdigest()[:40], kind: plain}


def read_merge(request: Mapping[str, Any]) -> Merge:
    """Return the merge that is asked for; raises MalformedMessageError."""
    return _reading(lambda: _converter.structure(request["merge"], Merge))


def read_refs(message: Mapping[str, Any], kind: str) -> Refs:
    """Return the refs under `kind` in a request or an answer; raises MalformedMessageError."""
    return _reading(lambda: _converter.structure(message[kind], Refs))


def read_instance(request: Mapping[str, Any]) -> str:
    """Return the instance whose refs are asked for; raises MalformedMessageError."""
    return _reading(lambda: _converter.structure(request["collect"], str))


def merge_answer(answers: Iterable[StageAnswer]) -> dict[str, Any]:
    """Return `answers` for the wire, but for the id of the request."""
    texts: dict[str, str] = {}
    return {"answers": [_plain(answer, texts) for answer in answers], "texts": texts}


def read_merge_answer(message: Mapping[str, Any]) -> tuple[StageAnswer, ...]:
    """Return what `merge_answer` was given; raises MalformedMessageError."""
    return _reading(lambda: tuple(_read_answer(one, message["texts"]) for one in message["answers"]))


def _plain(answer: StageAnswer, texts: dict[str, str]) -> dict[str, Any]:
    match answer.outcome:
        case StagedState(branches, files, config, tip_config):
            content: dict[str, Any] = {
                "kind": "staged",
                "branches": _converter.unstructure(branches),
                "files": list(files),
                "config": _plain_file(config, texts),
                "tip_config": _plain_file(tip_config, texts),
            }
        case Conflict():
            content = {"kind": "conflict", **_converter.unstructure(answer.outcome)}
        case MergeUnavailable():
            content = {"kind": "unavailable", **_converter.unstructure(answer.outcome)}
    return {"build_set": answer.build_set, **content}


def _plain_file(file: ConfigFile, texts: dict[str, str]) -> dict[str, Any]:
    if file.content is None:
        return {"digest": None, "problem": file.problem}
    digest = hashlib.sha256(file.content).hexdigest()
    texts[digest] = file.content.decode("utf-8", errors="surrogateescape")
    return {"digest": digest, "problem": file.problem}


def _read_answer(plain: Mapping[str, Any], texts: Mapping[str, str]) -> StageAnswer:
    content = dict(plain)
    build_set, kind = BuildSetId(str(content.pop("build_set"))), content.pop("kind")
    if kind != "staged":
        return StageAnswer(build_set, _converter.structure(content, _KINDS[kind]))
    branches = _converter.structure(content["branches"], tuple[StagedBranch, ...])
    files = _converter.structure(content["files"], tuple[str, ...])
    outcome = StagedState(branches, files, _read_file(content["config"], texts), _read_file(content["tip_config"], texts))
    return StageAnswer(build_set, outcome)


def _read_file(plain: Mapping[str, Any], texts: Mapping[str, str]) -> ConfigFile:
    digest = plain["digest"]
    content = None if digest is None else texts[digest].encode("utf-8", errors="surrogateescape")
    return ConfigFile(content, str(plain["problem"]))


def _reading(read: Callable[[], Read]) -> Read:
    try:
        return read()
    except Exception as error:  # cattrs raises groups of whatever its hooks raise
        message = f"a message between scheduler and merger cannot be read: do both run the same Torii? ({error!r})"
        raise MalformedMessageError(message) from error
