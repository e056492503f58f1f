"""A log comes into the store once, whatever dies on the way."""

from __future__ import annotations

import pytest

from torii.errors import OperatorError
from torii.jenkins import LogPiece
from torii.model.ids import BuildId
from torii.results import layout, transcript
from torii.results.run import Run
from torii.results.transcript import Transcript
from torii.store.blobs import FolderBlobs

BUILD = BuildId("4c7a3b1e-2f5d-5e0a-9d43-0f6b1c2d3e4f")
RUN = Run(BUILD, "ci", "app--main--unit", 12, "http://jenkins/job/app--main--unit/12/")
HEAD = b"[torii] app--main--unit #12 in the Jenkins ci: http://jenkins/job/app--main--unit/12/\n"
LINES = [f"line {number} \u00e9\n".encode() for number in range(50)]
OFFSETS = 7
"""In Jenkins a line takes some bytes more than it has here."""


@pytest.fixture
def blobs(tmp_path):
    return FolderBlobs(tmp_path)


def piece(start: int, stop: int) -> LogPiece:
    """What Jenkins says of lines `start` to `stop`; its offsets are its own."""
    return LogPiece(b"".join(LINES[start:stop]), stop * OFFSETS, stop < len(LINES))


def log(blobs: FolderBlobs) -> bytes:
    return blobs.read(layout.console(BUILD))


def follow(blobs: FolderBlobs, upto: int, run: Run = RUN, step: int = 3, limit: int = 1 << 20) -> Transcript:
    """Follow the log as a process that just started does, up to line `upto`."""
    found = Transcript(blobs, run, limit)
    while (at := found.offset // OFFSETS) < upto and not found.full:
        found.take(piece(at, min(at + step, upto)))
    return found


def test_the_log_stands_below_a_line_that_names_the_run(blobs):
    follow(blobs, 50)
    assert log(blobs) == HEAD + b"".join(LINES)


def test_a_log_that_was_begun_by_a_process_that_died_is_gone_on_with(blobs):
    for upto, step in ((1, 1), (10, 2), (10, 5), (23, 7), (50, 4), (50, 50)):
        follow(blobs, upto, step=step)
    assert log(blobs) == HEAD + b"".join(LINES)


def test_the_place_in_a_long_log_is_written_down_so_that_not_all_of_it_is_read_again(blobs, monkeypatch):
    monkeypatch.setattr(transcript, "CHECKPOINT", 40)
    follow(blobs, 30)
    assert Transcript(blobs, RUN, 1 << 20).offset >= 20 * OFFSETS
    follow(blobs, 50, step=11)
    assert log(blobs) == HEAD + b"".join(LINES)


def test_a_death_in_the_middle_of_a_write_leaves_no_trace(blobs, tmp_path):
    follow(blobs, 20)
    path = tmp_path / layout.console(BUILD)
    for cut in (1, 5, len(LINES[19]) + 3):
        path.write_bytes(path.read_bytes()[:-cut])
        follow(blobs, 20, step=20)
        assert log(blobs) == HEAD + b"".join(LINES[:20])


def test_a_death_before_anything_was_written_leaves_no_trace(blobs, tmp_path):
    Transcript(blobs, RUN, 1 << 20)
    for left in (b"", HEAD[:10], HEAD):
        (tmp_path / layout.console(BUILD)).write_bytes(left)
        follow(blobs, 5)
        assert log(blobs) == HEAD + b"".join(LINES[:5])


def test_another_number_begins_anew_below_what_is_there(blobs):
    follow(blobs, 3)
    again = Run(BUILD, "ci", "app--main--unit", 13)
    for upto in (2, 50):
        follow(blobs, upto, again)
    said = b"[torii] what stands above is of app--main--unit #12 in the Jenkins ci, which was lost; here it begins anew\n"
    assert log(blobs) == HEAD + b"".join(LINES[:3]) + said + b"[torii] app--main--unit #13 in the Jenkins ci\n" + b"".join(LINES)


def test_what_stands_in_the_log_already_ends_its_line_first(blobs):
    with blobs.append(layout.console(BUILD)) as writer:
        writer.write(b"half a line")
    follow(blobs, 1)
    assert log(blobs).startswith(
        b"half a line\n[torii] what stands above is of an earlier attempt, which was lost; here it begins anew\n" + HEAD
    )


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"run": ["ci", "x", "y"]}', b'{"run": 3, "start": -1}', b"\xff" * 40])
def test_a_damaged_note_of_the_place_begins_anew_and_says_so(blobs, damage):
    follow(blobs, 2)
    blobs.put(layout.place(BUILD), damage)
    follow(blobs, 50)
    assert log(blobs).endswith(b"here it begins anew\n" + HEAD + b"".join(LINES))


def test_nothing_beyond_the_limit_is_kept_and_a_line_says_so(blobs):
    limit = len(LINES[0]) * 2 + 4
    for _ in range(3):  # a process that begins again with it finds it full, and adds nothing
        found = follow(blobs, 50, limit=limit)
        assert found.full
    kept, _, note = log(blobs)[len(HEAD) :].partition(b"\n[torii] ")
    assert kept == b"".join(LINES)[:limit]
    assert note == f"the log has reached its limit of {limit} bytes; what follows is to be seen in Jenkins alone\n".encode()


def test_a_log_just_as_long_as_the_limit_is_whole(blobs):
    found = follow(blobs, 50, limit=len(b"".join(LINES)))
    assert not found.full
    assert log(blobs) == HEAD + b"".join(LINES)


def test_nuls_and_broken_text_stay_as_they_are(blobs):
    data = b"\x00\x00\xff\xfe\xed\xa0\x80 broken\r alone \x1b[31m\n"
    Transcript(blobs, RUN, 1 << 20).take(LogPiece(data, 99, False))
    assert log(blobs) == HEAD + data


def test_closing_notes_are_written_once(blobs, tmp_path):
    found = follow(blobs, 50)
    found.close(["no artifact matches dist/*", "FAILURE: the step 'Execute shell' failed"])
    whole = log(blobs)
    assert whole.endswith(b"[torii] no artifact matches dist/*\n[torii] FAILURE: the step 'Execute shell' failed\n")
    for cut in (0, 10, 60):
        (tmp_path / layout.console(BUILD)).write_bytes(whole[: len(whole) - cut])
        follow(blobs, 50, step=50).close(["no artifact matches dist/*", "FAILURE: the step 'Execute shell' failed"])
        assert log(blobs) == whole


def test_closing_notes_that_turned_out_otherwise_stand_whole_below_the_others(blobs):
    follow(blobs, 50).close(["the artifact a: Jenkins no longer has the file", "FAILURE: x"])
    before = log(blobs)
    follow(blobs, 50).close(["FAILURE: y"])
    assert log(blobs) == before + b"[torii] FAILURE: y\n"


def test_the_head_and_the_tail_are_of_the_log_alone(blobs):
    follow(blobs, 5)
    found = follow(blobs, 50, Run(BUILD, "ci", "app--main--unit", 13))
    assert found.head(12) == b"".join(LINES)[:12]
    assert found.tail(20) == b"".join(LINES)[-20:]
    assert found.tail(1 << 20) == found.head(1 << 20) == b"".join(LINES)
    found.close(["FAILURE: x"])
    assert follow(blobs, 50, Run(BUILD, "ci", "app--main--unit", 13)).tail(4) == LINES[-1][-4:]


def test_blobs_that_refuse_are_an_error_with_words(tmp_path):
    (tmp_path / "builds").write_bytes(b"in the way")
    with pytest.raises(OperatorError, match="part of its path is a file"):
        Transcript(FolderBlobs(tmp_path), RUN, 1 << 20)
