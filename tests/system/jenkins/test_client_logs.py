"""Console logs of a Jenkins: where to go on, what ends a line, and a log that is larger than memory."""

from __future__ import annotations

import gzip
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from tests.support.jenkins_scripted import Answer, Asked, ScriptedJenkins, jetty
from tests.support.waiting import wait_until
from torii.config.settings import Secret
from torii.jenkins import Controller, JenkinsError, JenkinsMissingError, JenkinsUnavailableError, LogPiece

MB = 1 << 20
PLAIN = "text/plain;charset=utf-8"


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> Secret:
    monkeypatch.setenv("JENKINS_TOKEN", "hush-hush")
    return Secret("env:JENKINS_TOKEN")


class Log:
    """Answers as progressiveText does. `raw` lies on disk: with notes, which are not shown, and with one character at the end of a line."""

    NOTE = b"\x1b[8mha:AAAA/xyz\x1b[0m"

    def __init__(self, raw: bytes, *, more: bool = False, packed: bool = False) -> None:
        self.raw = raw
        self.more = more
        self.packed = packed
        self.starts: list[int] = []

    def __call__(self, asked: Asked) -> Answer:
        assert (asked.method, asked.path) == ("GET", "/job/a/1/logText/progressiveText")
        start = int(asked.query["start"])
        self.starts.append(start)
        if start < 0:
            return jetty(500, "Server Error")
        start = 0 if start > len(self.raw) else start
        shown = self.raw[start:].replace(self.NOTE, b"").replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        headers = {"X-Text-Size": str(len(self.raw))} | ({"X-More-Data": "true"} if self.more else {})
        if self.packed:
            return Answer(body=gzip.compress(shown), kind=PLAIN, headers={**headers, "Content-Encoding": "gzip"})
        return Answer(body=shown, kind=PLAIN, headers=headers)


def whole(controller: Controller, largest: int, start: int = 0) -> tuple[bytes, list[LogPiece]]:
    """Reads to the end as a caller does."""
    pieces = []
    while True:
        piece = controller.log("a", 1, start, largest)
        assert len(piece.data) <= largest
        pieces.append(piece)
        start = piece.next
        if not piece.more:
            return b"".join(piece.data for piece in pieces), pieces


def test_a_log_is_read_on_from_where_jenkins_says_and_lines_end_as_on_unix(token: Secret) -> None:
    log = Log(b"Started by " + Log.NOTE + b"admin\n", more=True)
    with ScriptedJenkins(log) as server:
        controller = Controller(server.settings(token))
        first = controller.log("a", 1)
        assert first == LogPiece(b"Started by admin\n", len(log.raw), more=True)
        assert controller.log("a", 1, first.next) == LogPiece(b"", first.next, more=True)
        log.raw += "tick 1 é ✓\r\n50 %\r100 %\n".encode()
        second = controller.log("a", 1, first.next)
        assert second == LogPiece("tick 1 é ✓\n50 %\r100 %\n".encode(), len(log.raw), more=True)
        log.more = False
        assert controller.log("a", 1, second.next) == LogPiece(b"", second.next, more=False)
        assert len({asked.line for asked in server.asked}) == 1


def test_a_log_that_became_shorter_is_not_told_again(token: Secret) -> None:
    log = Log(b"one\ntwo\nthree\n", more=True)
    with ScriptedJenkins(log) as server:
        controller = Controller(server.settings(token))
        end = controller.log("a", 1).next
        log.raw = b"one\n"
        piece = controller.log("a", 1, end)
        assert piece == LogPiece(b"", 4, more=True)
        log.raw += b"four\n"
        assert controller.log("a", 1, piece.next).data == b"four\n"


@pytest.mark.parametrize("largest", [1, 2, 3, 7, 100, 65_536, 1 << 22])
@pytest.mark.parametrize("packed", [False, True])
def test_pieces_of_any_size_make_the_same_log(largest: int, packed: bool, token: Secret) -> None:
    raw = (b"\n\n" + Log.NOTE + b"a\r\nb\r\r\n\r\0\xff\xc3\n" + "é✓".encode()) * (3 if largest < 10 else 9000)
    log = Log(raw, packed=packed)
    with ScriptedJenkins(log) as server:
        got, pieces = whole(Controller(server.settings(token)), largest)
    assert got == raw.replace(Log.NOTE, b"").replace(b"\r\n", b"\n")
    assert [piece.more for piece in pieces[:-1]] == [True] * (len(pieces) - 1)
    assert pieces[-1].next == len(raw)
    assert log.starts == [0], "a log that is read on at once is asked for once"


def test_bytes_that_are_no_text_go_through_unchanged(token: Secret) -> None:
    raw = bytes(each for each in range(256) if each != 13) + b"\0" * 100_000 + b"\xff\xfe\n"
    with ScriptedJenkins(Log(raw)) as server:
        assert whole(Controller(server.settings(token)), MB)[0] == raw


def test_what_was_held_open_and_got_lost_is_asked_for_again(token: Secret) -> None:
    raw = b"".join(b"line %d\n" % number for number in range(20_000))
    log = Log(raw)
    with ScriptedJenkins(log) as server:
        first = Controller(server.settings(token))
        piece = first.log("a", 1, 0, 1000)
        first.close()
        rest, _ = whole(Controller(server.settings(token)), 50_000, piece.next)
        assert piece.data + rest == raw
        assert log.starts == [0, 0]


def test_many_long_logs_at_once_are_each_whole(token: Secret) -> None:
    log = Log(b"".join(b"line %d\n" % number for number in range(50_000)))
    with ScriptedJenkins(log) as server:
        controller = Controller(server.settings(token))
        starts = dict.fromkeys(range(12), 0)
        got = dict.fromkeys(starts, b"")
        while starts:
            for each, start in list(starts.items()):
                piece = controller.log("a", 1, start, 100_000)
                got[each] += piece.data
                starts[each] = piece.next
                if not piece.more:
                    del starts[each]
    assert set(got.values()) == {log.raw}


def test_half_a_gigabyte_is_read_in_pieces_with_bounded_memory(token: Secret) -> None:
    block = b"0123456789abcdef" * 4095 + b"0123456789abcd\r\n"
    count = 500 * MB // len(block)

    def blocks() -> Iterator[bytes]:
        for _ in range(count):
            yield block

    answer = Answer(body=blocks(), kind=PLAIN, headers={"X-Text-Size": str(count * (len(block) - 1))})
    with ScriptedJenkins(lambda _: answer) as server:
        controller = Controller(server.settings(token))
        tracemalloc.start()
        size = start = 0
        while True:
            piece = controller.log("a", 1, start)
            size, start = size + len(piece.data), piece.next
            if not piece.more:
                break
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert size == count * (len(block) - 1) == start
        assert len(server.asked) == 1
    assert largest < 40 * MB


def test_a_stop_lets_go_of_a_log_that_is_half_read(token: Secret) -> None:
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(1)
            yield b"x" * 65_536

    ended: list[bool] = []

    def blocks() -> Iterator[bytes]:
        try:
            yield from endless()
        finally:
            ended.append(True)

    with ScriptedJenkins(lambda _: Answer(body=blocks(), kind=PLAIN, headers={"X-Text-Size": "999999999999"})) as server:
        controller = Controller(server.settings(token))
        piece = controller.log("a", 1, 0, 1000)
        assert (len(piece.data), piece.more) == (1000, True)
        controller.close()
        with pytest.raises(JenkinsUnavailableError, match="Torii is stopping"):
            controller.log("a", 1, piece.next, 1000)
        wait_until(lambda: bool(ended), 10)


def test_a_stop_ends_the_reading_of_a_log_that_does_not_go_on(token: Secret) -> None:
    reading = threading.Event()

    def blocks() -> Iterator[bytes]:
        yield b"begun\r\n"
        reading.set()
        server.closing.wait()

    found: list[BaseException] = []

    def read() -> None:
        try:
            controller.log("a", 1)
        except JenkinsUnavailableError as error:
            found.append(error)

    with ScriptedJenkins(lambda _: Answer(body=blocks(), kind=PLAIN, headers={"X-Text-Size": "999"})) as server:
        controller = Controller(server.settings(token, timeout=60))
        thread = threading.Thread(target=read)
        thread.start()
        assert reading.wait(10)
        controller.close()
        thread.join(10)
    assert "Torii is stopping" in str(found[0])


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (jetty(404, "Not Found"), JenkinsMissingError, "404"),
        (
            Answer(body=b"<html><title>Sign in</title></html>"),
            JenkinsUnavailableError,
            "text/html;charset=utf-8, where Jenkins' log was due",
        ),
        (Answer(body=b"abc", kind=PLAIN, headers={"X-Text-Size": "many"}), JenkinsUnavailableError, "leave Jenkins' headers alone"),
        (
            Answer(body=b"abcdefgh", kind=PLAIN, headers={"X-Text-Size": "8"}, cut=3),
            JenkinsUnavailableError,
            "the connection broke|cut or garbled",
        ),
        (Answer(body=b"no gzip", kind=PLAIN, headers={"X-Text-Size": "8", "Content-Encoding": "gzip"}), JenkinsUnavailableError, "garbled"),
    ],
)
def test_a_log_that_is_none_is_an_error(answer: Answer, error: type[JenkinsError], words: str, token: Secret) -> None:
    with ScriptedJenkins(lambda _: answer) as server:
        controller = Controller(server.settings(token), patience=0.01)
        with pytest.raises(error, match=words):
            controller.log("a", 1)


def test_a_log_goes_on_after_the_connection_broke(token: Secret) -> None:
    log = Log(b"".join(b"line %d\n" % number for number in range(200_000)))
    answers: list[Callable[[Asked], Answer]] = [
        lambda asked: Answer(body=log(asked).body, kind=PLAIN, headers=log(asked).headers, cut=MB),
        log,
    ]

    def answer(asked: Asked) -> Answer:
        return (answers.pop(0) if len(answers) > 1 else answers[0])(asked)

    with ScriptedJenkins(answer) as server:
        controller = Controller(server.settings(token))
        got, start, broken = b"", 0, 0
        for _ in islice(iter(int, 1), 100):
            try:
                piece = controller.log("a", 1, start, 400_000)
            except JenkinsUnavailableError:
                broken += 1
                continue
            got, start = got + piece.data, piece.next
            if not piece.more:
                break
        assert got == log.raw
        assert broken == 1
