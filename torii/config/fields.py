"""The kinds of values that the keys of `torii.yml` and `server.yml` take, each with what it refuses and how an editor checks it.

Where text is due, what stands in the file is taken as it stands there, quoted or not: `3.10` is `3.10` and `yes` is `yes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from torii.config.document import Plain
from torii.config.wording import shown
from torii.model.glob import GlobError, compile_glob

T = TypeVar("T")
Schema = dict[str, Any]


ANY_TEXT = ["string", "number", "boolean"]
"""What other readers of YAML take for text that stands without quotes."""


def wrong(message: str, suggestion: str = "") -> PydanticCustomError:
    """Return the error by which a validator says that the value it was given is a mistake."""
    return PydanticCustomError("torii", "{message}", {"message": message, "suggestion": suggestion})


class From:
    """An annotation: the value is what `convert` makes of what the file says, and `schema` makes the JSON Schema of the file's form."""

    def __init__(self, convert: Callable[[Any], Any], schema: Callable[[Schema], Schema] | Schema) -> None:
        self.convert = convert
        self.schema = schema

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.convert, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return dict(self.schema) if isinstance(self.schema, dict) else self.schema(handler(core))


def kind(value: object) -> str:
    """Return what `value` is, in the words of YAML."""
    return "empty" if value is None else "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list | tuple) else "text"


def text(value: object) -> str:
    """Return the text that stands in the file; refuses lists, mappings and nothing at all."""
    if isinstance(value, str):
        return str(value)
    raise wrong("has no value" if value is None else f"must be text, not {kind(value)}")


def _any_text(value: object) -> str:
    if value is None:
        raise wrong("has no value", 'for an empty text write ""')
    return text(value)


Text = Annotated[str, From(_any_text, {"type": ANY_TEXT})]


def _present(value: object) -> object:
    if value is None:
        raise wrong("has no value", "give one, or remove the key")
    return value


PRESENT = From(_present, lambda schema: schema)
"""For keys that may be left out, but not left empty."""


def matching(pattern: str, what: str, *, schema: str | None = None) -> From:
    """Text that matches the whole of `pattern`, which `what` puts into words. `schema` is the pattern for editors, where it differs."""
    compiled = re.compile(pattern)

    def convert(value: object) -> str:
        found = text(value)
        if not compiled.fullmatch(found):
            raise wrong(f"{shown(found)} is no {what}")
        return found

    return From(convert, {"type": ANY_TEXT, "pattern": f"^(?:{schema or pattern})$"})


NAME_PATTERN = r"(?!.*\.\.)(?!.*\.(?:lock)?$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
NAME_WORDS = "1 to 64 letters, digits and . _ -, starting with a letter or digit, no .. and no . or .lock at the end"
JobName = Annotated[str, matching(NAME_PATTERN, f"legal job name: {NAME_WORDS}")]
PipelineLabel = Annotated[str, matching(NAME_PATTERN, f"legal pipeline name: {NAME_WORDS}")]
QueueLabel = Annotated[str, matching(NAME_PATTERN, f"legal queue name: {NAME_WORDS}")]
NodeLabel = Annotated[str, matching(NAME_PATTERN, f"legal node label: {NAME_WORDS}")]
Image = Annotated[
    str,
    matching(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}", "container image: something like python:3.11 or registry.example.com/team/image:tag"),
]


def variable(value: object) -> str:
    """Return the name of an environment variable that a job may set."""
    name = text(value)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", name):
        raise wrong(f"{shown(name)} is no legal variable name: letters, digits and _, not starting with a digit")
    if name.upper().startswith("TORII_"):
        raise wrong("variables that start with TORII_ are Torii's own", "choose another name")
    return name


VariableName = Annotated[str, From(variable, {"type": "string", "pattern": "^(?![Tt][Oo][Rr][Ii][Ii]_)[A-Za-z_][A-Za-z0-9_]{0,127}$"})]


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, Plain) and value in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return value.lower() == "true"
    found = text(value) if isinstance(value, str) else kind(value)
    meant = {"yes": "true", "on": "true", "y": "true", "true": "true", "no": "false", "off": "false", "n": "false", "false": "false"}
    hint = meant.get(found.lower(), "")
    raise wrong(f"must be true or false, not {shown(found) if isinstance(value, str) else found}", f"write {hint}" if hint else "")


Flag = Annotated[bool, From(_flag, {"type": "boolean"})]


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, Plain) and re.fullmatch(r"[-+]?[0-9]{1,15}", value):
        return int(value)
    raise wrong(f"must be a whole number, not {shown(value) if isinstance(value, str) else kind(value)}", _unquote(value))


def _unquote(value: object) -> str:
    quoted = isinstance(value, str) and not isinstance(value, Plain)
    return "remove the quotes" if quoted and re.fullmatch(r"[-+]?[0-9]+", str(value)) else ""


WHOLE = From(_whole, lambda schema: schema)
"""For whole numbers; a `Field` beside it says from which to which."""


_DURATION = re.compile(r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,9})s)?(?:([0-9]{1,9})ms)?")
_DURATION_SCHEMA = r"^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"


def seconds(value: object) -> float:
    """Return the seconds that `90`, `0.5`, `90s`, `30m`, `1h30m`, `2d` or `500ms` stand for."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    found = text(value)
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", found):
        return float(found)
    parts = _DURATION.fullmatch(found)
    if not found or parts is None:
        raise wrong(f"{shown(found)} is no duration", "write it like 90s, 30m or 1h30m, or as a number of seconds")
    days, hours, minutes, secs, millis = (int(part or 0) for part in parts.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + secs + millis / 1000


def duration(least: float, most: float) -> From:
    """Durations from `least` to `most` seconds."""

    def convert(value: object) -> float:
        found = seconds(value)
        if not least <= found <= most:
            raise wrong(f"must be from {_words(least)} to {_words(most)}")
        return found

    schema = {"anyOf": [{"type": "number", "minimum": least, "maximum": most}, {"type": "string", "pattern": _DURATION_SCHEMA}]}
    return From(convert, schema)


def _words(seconds: float) -> str:
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{seconds:g}s"


def period(seconds: float) -> str | float:
    """Return `seconds` as these files write them: `1h30m`, or the bare number where it is no whole one."""
    if seconds != int(seconds) or seconds < 1:
        return seconds
    rest, text = int(seconds), ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        text += f"{rest // size}{unit}" if rest // size else ""
        rest %= size
    return text


MAX_EXPRESSIONS = 24_000
"""Characters of all expressions that a file's globs become: what it costs to compile them is bounded."""


class Checking:
    """The context of one validation: what the globs seen so far cost."""

    def __init__(self) -> None:
        self._globs: set[str] = set()
        self._spent = 0

    def glob(self, pattern: str) -> None:
        """Refuse what is no glob, and one too many."""
        if pattern in self._globs:
            return
        if self._spent > MAX_EXPRESSIONS:
            raise wrong("the file has too many patterns, or too complicated ones", "use fewer")
        self._spent += len(pattern)
        try:
            self._spent += len(compile_glob(pattern).pattern)
        except GlobError as error:
            raise wrong(f"{shown(pattern)}: {error}") from None
        self._globs.add(pattern)


class _Glob:
    """An annotation: text that is a glob."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def convert(value: object, info: core_schema.ValidationInfo) -> str:
            found = text(value)
            (info.context or Checking()).glob(found)
            return found

        return core_schema.with_info_before_validator_function(convert, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {"type": ANY_TEXT, "minLength": 1, "maxLength": 512}


Glob = Annotated[str, _Glob()]

_NOT_IN_OUTPUT = re.compile(r"[\[\]{},;\\\"'<>|:!\x00-\x1f]|^\s|\s$")


def _output(value: object) -> str:
    found = text(value)
    if not found or len(found) > 512:
        raise wrong("must be a path of 1 to 512 characters")
    if found.startswith(("/", "~")):
        raise wrong(f"{shown(found)} must be relative to the workspace", "drop what stands before the first name")
    if ".." in found.split("/"):
        raise wrong(f"{shown(found)} must not leave the workspace by ..")
    parts = found.removesuffix("/").split("/")
    if not all(parts) or "." in parts:
        raise wrong(f"{shown(found)} has an empty part or a .", "write it without ./ and with single slashes")
    if any("**" in part and part != "**" for part in parts):
        raise wrong(
            f"{shown(found)}: ** must stand alone between slashes", "to Jenkins it means nothing more than * elsewhere; write **/*.xml"
        )
    if bad := _NOT_IN_OUTPUT.search(found):
        raise wrong(
            f"{shown(found)}: {shown(bad[0])} cannot stand here", "Jenkins' patterns know *, ** and ?; name several files in a list"
        )
    return found


OutputPattern = Annotated[
    str, From(_output, {"type": ANY_TEXT, "minLength": 1, "maxLength": 512, "pattern": r"^(?![/~])(?!(.*/)?\.\.(/|$))"})
]


def _as_list(value: object) -> object:
    if value is None:
        raise wrong("has no value", "give one, a list, or [] for none")
    return value if isinstance(value, list | tuple) else [value]


_LIST = From(_as_list, lambda schema: {"anyOf": [schema["items"], schema]})
OneOrMany = Annotated[tuple[T, ...], _LIST]
"""A list, or the one thing that would be in it."""
OneOrMore = Annotated[tuple[T, ...], Field(min_length=1), _LIST]
"""The same, but not an empty list."""
