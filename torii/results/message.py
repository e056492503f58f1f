"""The one message that a change gets for a build set. Pure: text in, text out.

It has the form that Gerrit's `zuul-results-summary` page reads into a table: a first line `Build succeeded (check pipeline).` and a row
`- job URL : RESULT in 2m 45s` for each build
(https://gerrit.googlesource.com/plugins/zuul-results-summary, `_get_status_and_pipeline` and `resultRe`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torii.model.build import BuildSummary, Result
from torii.model.command import Report, Verdict
from torii.model.ids import BuildId
from torii.results.text import clean, clean_line

MESSAGE_LIMIT = 16_000
"""Characters a message has at most. Gerrit refuses comments above 16 KiB, and nobody reads them."""
_REASON_LIMIT = 2_000
_PROBLEMS_SHOWN = 40
_TESTS_SHOWN = 5
_DETAIL_LIMIT = 300

_FIRST_LINES = {
    Verdict.START: "Starting jobs ({} pipeline).",
    Verdict.SUCCESS: "Build succeeded ({} pipeline).",
    Verdict.FAILURE: "Build failed ({} pipeline).",
    Verdict.CONFLICT: "Merge conflict ({} pipeline).",
    Verdict.CONFIG_ERROR: "Configuration error ({} pipeline).",
    Verdict.NOT_MERGED: "Not merged ({} pipeline).",
    Verdict.DEQUEUED: "Dequeued ({} pipeline).",
    Verdict.UNAVAILABLE: "Could not be tried ({} pipeline).",
}
_FINE = frozenset({Result.SUCCESS, Result.SKIPPED, Result.CANCELED, Result.NOT_BUILT})


def compose(report: Report, url_of: Callable[[BuildId], str], limit: int = MESSAGE_LIMIT) -> str:
    """Return the message for `report`, at most `limit` characters, ending in a newline. `url_of` gives the page of a build.

    Whatever came from outside (names, reasons, details) is cleaned of control characters. Where the message must be cut, what failed
    stands first, and the last line says how much is missing.
    """
    message = _join(report, report.builds, url_of)
    if len(message) <= limit:
        return message
    failed_first = sorted(report.builds, key=lambda build: build.result in _FINE)
    return _cut(_join(report, failed_first, url_of), limit)


def spoken_duration(seconds: float) -> str:
    """Return a duration as the rows show it: `0.4s`, `45s`, `2m 45s`, `1h 2m 3s`."""
    if 0 < seconds < 0.95:
        return f"{seconds:.1f}s"
    minutes, second = divmod(round(max(seconds, 0)), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minute}m {second}s"
    return f"{minute}m {second}s" if minute else f"{second}s"


def _join(report: Report, builds: Sequence[BuildSummary], url_of: Callable[[BuildId], str]) -> str:
    parts = [_FIRST_LINES[report.verdict].format(clean_line(report.pipeline))]
    if reason := clean(report.reason).strip():
        cut = reason if len(reason) <= _REASON_LIMIT else reason[:_REASON_LIMIT].rstrip() + "…"
        parts.append(cut.replace("\n", "\n  "))  # indented, so that no line of it can pass for a row
    if report.problems:
        parts.append("\n".join(_problems(report)))
    if builds:
        parts.append("\n".join(line for build in builds for line in _rows(build, url_of(build.id))))
    return "\n\n".join(parts) + "\n"


def _problems(report: Report) -> Iterator[str]:
    for problem in report.problems[:_PROBLEMS_SHOWN]:
        yield f"- {clean_line(str(problem), 500)}"
    if len(report.problems) > _PROBLEMS_SHOWN:
        yield f"- and {len(report.problems) - _PROBLEMS_SHOWN} more"


def _rows(build: BuildSummary, url: str) -> Iterator[str]:
    # The table splits a row at its spaces, so neither the name nor the address may hold one.
    job = clean_line(build.job).replace(" ", "_") or "job"
    row = f"- {job} {clean_line(url, 2000).replace(' ', '%20')} : {build.result.value}"
    if build.duration is not None:
        row += f" in {spoken_duration(build.duration)}"
    yield row if build.voting else f"{row} (non-voting)"
    counted = f"{build.tests.failed} of {build.tests.total} tests failed" if build.tests is not None and build.tests.failed else ""
    detail = clean_line(build.detail, _DETAIL_LIMIT)
    if build.result is not Result.SUCCESS and detail and detail != counted:
        yield f"  {detail}"
    if build.tests is not None and counted:
        yield from _tests(counted, build.tests.failed, build.tests.failing)


def _tests(counted: str, failed: int, failing: Sequence[str]) -> Iterator[str]:
    yield f"  {counted}{':' if failing else ''}"
    shown = failing[:_TESTS_SHOWN]
    for name in shown:
        yield f"  * {clean_line(name, 200)}"
    if shown and failed > len(shown):
        yield f"  * and {failed - len(shown)} more"


def _cut(message: str, limit: int) -> str:
    """Return the whole lines of `message` that fit, and a last one saying how many did not."""
    lines = message.splitlines()
    room = limit - 80
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    missing = len(lines) - len(kept)
    return "\n".join([*kept, "", f"({missing} more lines do not fit here; Torii's pages have them.)"]) + "\n"
