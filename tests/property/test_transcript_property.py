"""However a log comes in pieces and whoever dies on the way, what is stored is the log, each byte once, up to the limit."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from torii.jenkins import LogPiece
from torii.model.ids import BuildId
from torii.results import layout, transcript
from torii.results.run import Run
from torii.results.transcript import Transcript
from torii.store.blobs import FolderBlobs

BUILD = BuildId("4c7a3b1e-2f5d-5e0a-9d43-0f6b1c2d3e4f")
RUN = Run(BUILD, "ci", "app--main--unit", 12)
HEAD = b"[torii] app--main--unit #12 in the Jenkins ci\n"
NOTES = ["no artifact matches dist/*", "FAILURE: the step failed"]

bodies = st.lists(st.binary(max_size=12), max_size=30).map(lambda lines: b"".join(line + b"\n" for line in lines))
lives = st.lists(st.tuples(st.lists(st.integers(0, 60), max_size=6), st.integers(0, 80), st.booleans()), max_size=6)


def expected(body: bytes, limit: int) -> bytes:
    kept = body[:limit]
    if len(body) > limit:
        text = f"[torii] the log has reached its limit of {transcript._size(limit)}; what follows is to be seen in Jenkins alone\n".encode()
        # What stands before the note ends its line first: the log's, or the line that names the run.
        kept += (b"" if (HEAD + kept).endswith(b"\n") else b"\n") + text
    whole = HEAD + kept
    for note in NOTES:
        whole += (b"" if whole.endswith(b"\n") else b"\n") + f"[torii] {note}\n".encode()
    return whole


def live(blobs: FolderBlobs, body: bytes, limit: int, steps: list[int]) -> Transcript:
    """Follow for so many pieces of these sizes. Jenkins' offsets are its own: three for each byte, and seven."""
    found = Transcript(blobs, RUN, limit)
    for size in steps:
        if found.full:
            break
        at = (found.offset - 7) // 3 if found.offset else 0
        upto = min(len(body), at + size)
        found.take(LogPiece(body[at:upto], 7 + 3 * upto, upto < len(body)))
    return found


@given(bodies, st.integers(0, 300), lives, st.integers(1, 60))
def test_what_is_stored_is_the_log_once(body, limit, lived, checkpoint):
    before, transcript.CHECKPOINT = transcript.CHECKPOINT, checkpoint
    try:
        with tempfile.TemporaryDirectory() as name:
            blobs = FolderBlobs(Path(name))
            log = Path(name) / layout.console(BUILD)
            for steps, lost, closes in lived:
                found = live(blobs, body, limit, steps)
                if closes and (found.full or found.offset == 7 + 3 * len(body)):
                    found.close(NOTES)
                if log.exists():
                    os.truncate(log, max(0, log.stat().st_size - lost))
            live(blobs, body, limit, [60] * (len(body) // 60 + 2)).close(NOTES)
            assert log.read_bytes() == expected(body, limit)
    finally:
        transcript.CHECKPOINT = before
