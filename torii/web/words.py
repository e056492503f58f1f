"""How states, results and times are called and coloured on the pages. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import quote

from torii.model.build import Result
from torii.model.command import Verdict
from torii.model.view import BuildView, ItemView
from torii.results.message import spoken_duration
from torii.results.text import clean, clean_line

# Each look is a class of the style sheet: idle, run, ok, bad, warn, off.
_RESULT_LOOKS = {
    Result.SUCCESS: "ok",
    Result.FAILURE: "bad",
    Result.UNSTABLE: "bad",
    Result.TIMED_OUT: "bad",
    Result.UNREGISTERED: "bad",
    Result.LOST: "warn",
    Result.ABORTED: "warn",
    Result.NOT_BUILT: "off",
    Result.SKIPPED: "off",
    Result.CANCELED: "off",
}
_STATE_LOOKS = {
    "waiting": "idle",
    "queued": "idle",
    "merging": "run",
    "building": "run",
    "running": "run",
    "reporting": "run",
    "submitting": "run",
    "passed": "ok",
    "failing": "bad",
}
_OUTCOME_LOOKS = {
    "merged": "ok",
    Verdict.SUCCESS.value: "ok",
    Verdict.FAILURE.value: "bad",
    Verdict.CONFLICT.value: "bad",
    Verdict.CONFIG_ERROR.value: "bad",
    Verdict.NOT_MERGED.value: "bad",
    Verdict.UNAVAILABLE.value: "warn",
    Verdict.DEQUEUED.value: "off",
}
_RESULT_WORDS = {Result.NOT_BUILT: "not built", Result.TIMED_OUT: "timed out", Result.UNREGISTERED: "no worker knew it"}
_WEB_LINK = re.compile(r"https?://[^\s/@\"'<>\\\x00-\x20\x7f]+(?:/[^\s\"'<>\\\x00-\x20\x7f]*)?", re.IGNORECASE)
_LINK_LIMIT = 2000
_OUTCOME_WORDS = {Verdict.SUCCESS.value: "passed", Verdict.FAILURE.value: "failed"}


def item_look(item: ItemView) -> str:
    """Return the look of an item's state, or of its outcome once it left."""
    return _OUTCOME_LOOKS.get(item.outcome, "off") if item.left_at is not None else _STATE_LOOKS.get(item.state, "idle")


def item_word(item: ItemView) -> str:
    """Return the word for an item's state, or for its outcome once it left."""
    return _OUTCOME_WORDS.get(item.outcome, item.outcome) or "left" if item.left_at is not None else item.state


def build_look(build: BuildView) -> str:
    """Return the look of a build's result, or of its state until it has one."""
    if build.result is not None:
        look = _RESULT_LOOKS[build.result]
        return "warn" if look == "bad" and not build.voting else look
    return _STATE_LOOKS.get(build.state, "idle")


def build_word(build: BuildView) -> str:
    """Return the word for a build's result, or for its state until it has one."""
    if build.result is None:
        return build.state
    return _RESULT_WORDS.get(build.result, build.result.value.lower())


def instant(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC; a time that no calendar has becomes empty."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return ""


def clock(seconds: float) -> str:
    """Return a time as people read it, in UTC."""
    return instant(seconds).replace("T", " ").replace("Z", " UTC")


def short(name: str) -> str:
    """Return the first eight letters of a full git object id, anything else as it is."""
    return name[:8] if len(name) in (40, 64) and all(letter in "0123456789abcdef" for letter in name) else name


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    amount, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if unit == "bytes" or amount >= 100 else f"{amount:.1f} {unit}"


def web_link(url: str | None) -> str:
    """Return `url` where it is a whole address of the web that may stand in a link, empty for anything else (`javascript:`, say)."""
    return url if url and len(url) <= _LINK_LIMIT and _WEB_LINK.fullmatch(url) else ""


def host(url: str) -> str:
    """Return the host that a link of the web leads to."""
    return url.split("/")[2]


def path(name: str) -> str:
    """Return a name as a part of a URL's path, its slashes kept."""
    return quote(name, safe="/:@,+~")


FILTERS = {
    "item_look": item_look,
    "item_word": item_word,
    "build_look": build_look,
    "build_word": build_word,
    "instant": instant,
    "clock": clock,
    "short": short,
    "size": size,
    "path": path,
    "web_link": web_link,
    "host": host,
    "duration": spoken_duration,
    "line": clean_line,
    "lines": clean,
}
