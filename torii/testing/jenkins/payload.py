"""What the Gearman plug-in makes of a job's payload: gson's lenient reading of a flat object, and the exceptions it ends with otherwise."""

from __future__ import annotations

import re

_SPACE = re.compile(r"\s*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'', re.DOTALL)
_BARE = re.compile(r"[^\s,:;=\[\]{}'\"#/\\]+")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}

TRACE = (
    "\n\tat hudson.plugins.gearman.StartJobWorker.executeFunction(StartJobWorker.java:111)"
    "\n\tat org.gearman.worker.AbstractGearmanFunction.call(AbstractGearmanFunction.java:126)"
)


class PayloadError(Exception):
    """What Java threw."""

    def __str__(self) -> str:
        return f"java.lang.RuntimeException: {self.args[0]}{TRACE}"


def read_payload(data: bytes, nothing: str = '"java.util.Map.entrySet()" because "inParams" is null') -> dict[str, str | None]:
    """Return the parameters; a null comes back as None. Raises `PayloadError`; `nothing` says what Java could not do without any."""
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    if not text.strip() or text.strip() == "null":
        raise PayloadError(f"java.lang.NullPointerException: Cannot invoke {nothing}")
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def read(self) -> dict[str, str | None]:
        if self._next() == "[":  # gson takes a list of pairs for a map, too
            self._at += 1
            raise self._wrong(f"java.lang.IllegalStateException: Expected BEGIN_ARRAY but was {self._kind()}", "$[0]")
        if self._next() != "{":
            raise self._wrong(f"java.lang.IllegalStateException: Expected BEGIN_OBJECT but was {self._kind()}", "$")
        self._at += 1
        found: dict[str, str | None] = {}
        if self._next() == "}":
            self._at += 1
        else:
            self._members(found)
        if self._next():
            raise self._wrong(
                "com.google.gson.stream.MalformedJsonException: Use JsonReader.setLenient(true) to accept malformed JSON", "$"
            )
        return found

    def _members(self, found: dict[str, str | None]) -> None:
        while True:
            name = self._string() or ""
            if self._next() not in (":", "="):
                raise self._end() if not self._next() else self._wrong("com.google.gson.stream.MalformedJsonException: Expected ':'", "$.")
            self._at += 1
            value = self._string(f"$.{name}")
            if name in found:
                raise PayloadError(f"com.google.gson.JsonSyntaxException: duplicate key: {name}")
            found[name] = value
            mark = self._next()
            if not mark:
                raise self._end()
            self._at += 1
            if mark == "}":
                return
            if mark not in ",;":
                raise self._wrong("com.google.gson.stream.MalformedJsonException: Unterminated object", f"$.{name}")

    def _string(self, path: str = "$.") -> str | None:
        mark = self._next()
        if not mark:
            raise self._end()
        if mark in "{[":
            raise self._wrong(f"java.lang.IllegalStateException: Expected a string but was {self._kind()}", path)
        if mark in "\"'":
            found = _QUOTED.match(self._text, self._at)
            if found is None:
                raise self._end()
            self._at = found.end()
            text = _ESCAPE.sub(_unescaped, found[1] if found[1] is not None else found[2])
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        found = _BARE.match(self._text, self._at)
        if found is None:
            raise self._wrong("com.google.gson.stream.MalformedJsonException: Unexpected value", path)
        self._at = found.end()
        return None if found[0] == "null" else found[0]

    def _next(self) -> str:
        self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]  # it matches nothing, too
        return self._text[self._at : self._at + 1]

    def _kind(self) -> str:
        mark = self._next()
        if mark in "{[":
            return "BEGIN_OBJECT" if mark == "{" else "BEGIN_ARRAY"
        return "NUMBER" if mark.isdigit() or mark == "-" else "STRING"

    def _wrong(self, what: str, path: str) -> PayloadError:
        return PayloadError(f"com.google.gson.JsonSyntaxException: {what} at line 1 column {self._at + 1} path {path}")

    def _end(self) -> PayloadError:
        return self._wrong("java.io.EOFException: End of input", "$.")


def _unescaped(found: re.Match[str]) -> str:
    what = found[1]
    return chr(int(what[1:], 16)) if len(what) == 5 else _PLAIN.get(what, what)
