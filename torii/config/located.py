"""Hold a document against a pydantic model, and say of each mistake where it stands and what was perhaps meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails

from torii.config.document import Document, Listing, Mapping, Node, Path, native
from torii.config.fields import Checking
from torii.config.wording import did_you_mean, listed, nearest
from torii.model.job import ConfigProblem

MAX_PROBLEMS = 100
"""How many problems of one file are told."""

LATER = frozenset({"cache", "semaphore", "secrets", "reuse"})
"""Keys that Torii's pages speak of and that later versions know."""

Schema = dict[str, Any]


def _key(name: str) -> str:
    return name.replace("_", "-")


class Section(BaseModel):
    """What every part of a configuration file is: its keys are written with hyphens, and no others are known."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=_key, populate_by_name=False)


ModelT = TypeVar("ModelT", bound=Section)


def checked(document: Document, model: type[ModelT]) -> ModelT | tuple[ConfigProblem, ...]:
    """Return `document` as `model`, or everything that is wrong with its shape."""
    try:
        return model.model_validate(native(document.root), context=Checking())
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        within = {detail["loc"][:depth] for detail in details for depth in range(len(detail["loc"]))}
        # pydantic does not count the values that are wrong, which are there all the same
        told = [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in within]
        return tuple(_problem(document, model, detail) for detail in told[: 2 * MAX_PROBLEMS])


def sound(document: Document, path: Path, model: type[ModelT]) -> ModelT | None:
    """Return the part of `document` at `path` as `model`, or None where it is not there or wrong: for checks across parts."""
    there, _, node = document.find(path)
    if there != path:
        return None
    try:
        return model.model_validate(native(node), context=Checking())
    except ValidationError:
        return None


def ordered(problems: Iterable[ConfigProblem], file: str) -> tuple[ConfigProblem, ...]:
    """Return `problems` as they follow each other in the file, each once; the last one counts those that are too many."""
    unique = sorted(set(problems), key=lambda problem: (problem.line, problem.column, problem.path, problem.message))
    if len(unique) <= MAX_PROBLEMS:
        return tuple(unique)
    last = unique[MAX_PROBLEMS - 1]
    more = ConfigProblem(file, last.line, last.column, "", f"and {len(unique) - MAX_PROBLEMS + 1} more problems")
    return (*unique[: MAX_PROBLEMS - 1], more)


def _problem(document: Document, model: type[Section], detail: ErrorDetails) -> ConfigProblem:
    loc: Path = tuple(detail["loc"])
    is_key = bool(loc) and loc[-1] == "[key]"
    if is_key:
        loc = loc[:-1]
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            parent, word = loc[:-1], str(loc[-1])
            known = list(_known(json_schema(model), document, parent))
            if word in LATER:
                return document.problem(loc, "unknown key: this version of Torii does not have it yet", "remove it", key=True)
            if word in (other := _known(json_schema(model), document, parent, own=False)):
                said = "type" in getattr(document.find(parent)[2], "entries", {})
                suggestion = "remove it" if said else f"add type: {other[word]}, or remove it"
                return document.problem(loc, f"only what is of type {other[word]} has this key", suggestion, key=True)
            near = did_you_mean(word, known)
            return document.problem(loc, "unknown key", near or f"known here: {listed(sorted(known), 20)}", key=True)
        case "missing":
            return document.problem(loc[:-1], f'"{loc[-1]}" is missing', key=True)
        case "torii":
            return document.problem(loc, context["message"], context["suggestion"], key=is_key)
        case "model_type" | "model_attributes_type" | "dict_type" | "dataclass_type":
            return document.problem(loc, f"must be a mapping of keys to values, not {_kind(document.find(loc)[2])}")
        case "list_type" | "tuple_type":
            return document.problem(loc, f"must be a list, not {_kind(document.find(loc)[2])}")
        case "greater_than_equal":
            return document.problem(loc, f"must be at least {context['ge']}")
        case "less_than_equal":
            return document.problem(loc, f"must be at most {context['le']}")
        case "too_short":
            return document.problem(loc, "needs at least one value")
        case "literal_error" | "enum":
            words = [word.strip(" '") for word in str(context["expected"]).replace(" or ", ",").split(",")]
            given = native(document.find(loc)[2])
            near = did_you_mean(given, words) if isinstance(given, str) else ""
            return document.problem(loc, f"must be one of: {listed(words, 20)}", near)
        case _:
            return document.problem(loc, detail["msg"], key=is_key)


def _kind(node: Node) -> str:
    match node:
        case Mapping():
            return "a mapping"
        case Listing():
            return "a list"
        case _:
            return "empty" if node.empty else "text"


class _Generator(GenerateJsonSchema):
    """As pydantic's, but no null where a key may be left out: an empty value is a mistake in these files."""

    def default_schema(self, schema: Any) -> Schema:
        made: Schema = super().default_schema(schema)
        if isinstance(made.get("default", 0), dict | list | tuple | None):
            del made["default"]
        return made

    def nullable_schema(self, schema: Any) -> Schema:
        return self.generate_inner(schema["schema"])

    def dict_schema(self, schema: Any) -> Schema:
        made: Schema = super().dict_schema(schema)
        if "patternProperties" in made:
            made.setdefault("additionalProperties", False)
        return made

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - titles only repeat the keys
        return False


@lru_cache(maxsize=8)
def json_schema(model: type[Section]) -> Schema:
    """Return the JSON Schema (draft 2020-12) of `model`. The same object each time: do not change it."""
    return model.model_json_schema(schema_generator=_Generator)


def _known(schema: Schema, document: Document, path: Path, *, own: bool = True) -> dict[str, str]:
    """Return the keys that `schema` knows for the mapping at `path`, each with the type of what has it (empty: whatever is there).

    Where what is there is of one type of several: that one's keys, or with `own` false those of the others.
    """
    here = list(_flat(schema, schema, document.root, own=own or bool(path)))
    for depth, step in enumerate(path, 1):
        node = document.find(path[:depth])[2]
        mine = own or depth < len(path)
        here = [flat for part in here for below in _below(part, step) for flat in _flat(schema, below, node, own=mine)]
    return {key: _type_of(part) for part in here for key in part.get("properties", {})}


def _flat(schema: Schema, part: Schema, node: Node, *, own: bool) -> Iterator[Schema]:
    if "$ref" in part:
        yield from _flat(schema, schema["$defs"][part["$ref"].rsplit("/", 1)[-1]], node, own=own)
    types = {_type_of(_resolved(schema, either)): either for either in part.get("oneOf", ())}
    mine = _type_meant(types, node)
    of_type = [either for name, either in types.items() if (name == mine) is own]
    for either in (*part.get("anyOf", ()), *of_type, *part.get("allOf", ())):
        yield from _flat(schema, either, node, own=own)
    if own or _type_of(part):
        yield part


def _resolved(schema: Schema, part: Schema) -> Schema:
    found: Schema = schema["$defs"][part["$ref"].rsplit("/", 1)[-1]] if "$ref" in part else part
    return found


def _type_of(part: Schema) -> str:
    return str(part.get("properties", {}).get("type", {}).get("const", ""))


def _type_meant(types: Iterable[str], node: Node) -> str | None:
    """Return which of `types` the mapping `node` says it is, or was meant to be; else the first one, which needs not be said."""
    types = list(types)
    said = native(node.entries["type"][1]) if isinstance(node, Mapping) and "type" in node.entries else None
    return (nearest(said, types) if isinstance(said, str) else None) or next(iter(types), None)


def _below(part: Schema, step: str | int) -> Iterator[Schema]:
    if isinstance(step, int):
        if isinstance(part.get("items"), dict):
            yield part["items"]
    elif step in part.get("properties", {}):
        yield part["properties"][step]
    else:
        yield from part.get("patternProperties", {}).values()
        if isinstance(part.get("additionalProperties"), dict):
            yield part["additionalProperties"]
