"""One suite for every blob store: a backend's test file is this class with a fixture, and nothing else."""

from __future__ import annotations

import threading

import pytest

from torii.store.blobs import BlobError, BlobMissingError, Blobs

UNUSABLE = ["", "/", "/etc/passwd", "..", "../x", "a/../b", "a/..", "a//b", "a/", "./a", "a/./b", "a\0b", "a/" + "b" * 256]
ODD = ["a b/c'd", "-rf", "ünï/çödé", "line\nbreak", "$(reboot);x", "a\\b", "bytes-\udcff", "..a/b..", "%2e%2e", "b" * 255]


class BlobsContract:
    """Subclasses give `blobs`: an empty store."""

    @pytest.fixture
    def blobs(self) -> Blobs:
        raise NotImplementedError

    def test_what_was_put_is_read_back(self, blobs):
        blobs.put("logs/1/console", b"hello\n\x00\xff")
        assert blobs.read("logs/1/console") == b"hello\n\x00\xff"
        assert blobs.size("logs/1/console") == 8
        assert blobs.exists("logs/1/console")

    def test_a_file_is_put_as_its_content(self, blobs, tmp_path):
        source = tmp_path / "report.xml"
        source.write_bytes(b"<x/>" * 1_000_000)
        blobs.put("report", source)
        assert blobs.size("report") == 4_000_000
        assert blobs.read("report", 3_999_996) == b"<x/>"
        assert source.exists()

    def test_a_file_that_is_none_is_refused(self, blobs, tmp_path):
        for source in (tmp_path, tmp_path / "missing"):
            with pytest.raises(BlobError):
                blobs.put("x", source)
        assert not blobs.exists("x")

    def test_an_empty_blob_is_a_blob(self, blobs):
        blobs.put("empty", b"")
        assert blobs.size("empty") == 0
        assert blobs.read("empty") == b""
        assert list(blobs.keys()) == ["empty"]

    def test_what_was_put_again_is_the_newer(self, blobs):
        blobs.put("x", b"a long first one")
        blobs.put("x", b"short")
        assert blobs.read("x") == b"short"

    def test_a_reader_never_sees_half_of_a_put(self, blobs):
        blobs.put("x", b"0" * 300_000)
        done = threading.Event()

        def write() -> None:
            for number in range(40):
                blobs.put("x", str(number % 10).encode() * 300_000)
            done.set()

        writer = threading.Thread(target=write, name="writer", daemon=True)
        writer.start()
        seen = set()
        while not done.is_set():
            seen.add(tuple(set(blobs.read("x"))))
        writer.join(20)
        assert all(len(one) == 1 for one in seen)

    def test_a_part_is_read_by_its_offsets(self, blobs):
        blobs.put("x", b"0123456789")
        assert blobs.read("x", 3, 6) == b"345"
        assert blobs.read("x", 8) == b"89"
        assert blobs.read("x", 8, 100) == b"89"
        assert blobs.read("x", 10) == b""
        assert blobs.read("x", 50) == b""
        assert blobs.read("x", 6, 3) == b""

    def test_what_is_not_there_is_missing(self, blobs):
        assert blobs.size("nothing") is None
        assert not blobs.exists("a/b/c")
        assert blobs.delete("nothing") == 0
        assert list(blobs.keys("nothing")) == []
        with pytest.raises(BlobMissingError, match="'nothing'"):
            blobs.read("nothing")

    def test_a_log_can_be_read_while_it_is_written(self, blobs):
        with blobs.append("logs/1/console") as log:
            log.write(b"one\n")
            assert blobs.read("logs/1/console") == b"one\n"
            log.write(b"two\n")
            assert blobs.read("logs/1/console", 4) == b"two\n"
            assert blobs.size("logs/1/console") == 8

    def test_a_log_is_gone_on_with_where_it_ended(self, blobs):
        with blobs.append("log") as log:
            log.write(b"before the crash\n")
        with blobs.append("log") as log:
            log.write(b"after it\n")
        assert blobs.read("log") == b"before the crash\nafter it\n"

    def test_a_log_nobody_wrote_to_is_there_and_empty(self, blobs):
        blobs.append("log").close()
        assert blobs.size("log") == 0

    def test_a_closed_log_takes_no_more(self, blobs):
        log = blobs.append("log")
        log.close()
        log.close()
        with pytest.raises(BlobError, match="closed"):
            log.write(b"x")

    def test_keys_are_listed_by_their_folder_and_in_order(self, blobs):
        for key in ("b/2", "a/b/2", "a/b/1", "a/bc", "a/b.txt", "c"):
            blobs.put(key, b"")
        assert list(blobs.keys()) == sorted(["b/2", "a/b/2", "a/b/1", "a/bc", "a/b.txt", "c"])
        assert list(blobs.keys("a/b")) == ["a/b/1", "a/b/2"]
        assert list(blobs.keys("a/bc")) == ["a/bc"]

    def test_a_folder_is_deleted_whole_and_its_neighbours_are_not(self, blobs):
        for key in ("a/b/2", "a/b/c/1", "a/bc", "d"):
            blobs.put(key, b"")
        assert blobs.delete("a/b") == 2
        assert blobs.delete("a/b") == 0
        assert blobs.delete("d") == 1
        assert list(blobs.keys()) == ["a/bc"]
        blobs.put("a/b", b"now a blob")
        assert blobs.read("a/b") == b"now a blob"

    @pytest.mark.parametrize("key", UNUSABLE, ids=ascii)
    def test_a_key_that_leads_elsewhere_is_refused(self, blobs, key):
        for use in (blobs.read, blobs.size, blobs.exists, blobs.delete, blobs.append, lambda key: blobs.put(key, b"")):
            with pytest.raises(BlobError, match="is no key"):
                use(key)

    @pytest.mark.parametrize("key", ODD, ids=ascii)
    def test_an_odd_key_is_a_key_like_any_other(self, blobs, key):
        blobs.put(key, b"x")
        with blobs.append(key) as writer:
            writer.write(b"y")
        assert blobs.read(key) == b"xy"
        assert list(blobs.keys()) == [key]
        assert blobs.delete(key) == 1
        assert not blobs.exists(key)
