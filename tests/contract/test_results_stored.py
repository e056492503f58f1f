"""Stored results keep the contract of `Results`."""

from __future__ import annotations

import pytest

from tests.contract.results_contract import BUILD, ResultsContract
from torii.model.ids import BuildId
from torii.results import layout
from torii.results.record import BuildRecord, encode
from torii.results.stored import RECORD_LIMIT, StoredResults
from torii.store.blobs import FolderBlobs


class StoredLab:
    """Writes blobs as the worker does."""

    base_url = "http://torii.example.com:8090"

    def __init__(self, path):
        self.blobs = FolderBlobs(path)
        self.results = StoredResults(self.blobs, f"{self.base_url}/")

    def start(self, build):
        with self.blobs.append(layout.console(build)) as log:
            log.write(b"hello\n")

    def end(self, build, result, tests=None, artifacts=(), comments=()):
        self.blobs.put(layout.record(build), encode(BuildRecord(result, 1.0, 3.5, 2.5, "", tests, artifacts, "worker-1", comments)))

    def damage(self, build):
        self.blobs.put(layout.record(build), b'{"result": "SUCC')


class TestStoredResults(ResultsContract):
    @pytest.fixture
    def lab(self, tmp_path):
        return StoredLab(tmp_path / "blobs")


def test_the_address_may_be_known_only_later(tmp_path):
    known = []
    results = StoredResults(FolderBlobs(tmp_path), lambda: known[-1])
    known.append("http://127.0.0.1:4321")
    assert results.url(BUILD) == f"http://127.0.0.1:4321/builds/{BUILD}"


def test_a_record_of_absurd_size_is_not_read(tmp_path):
    lab = StoredLab(tmp_path)
    lab.blobs.put(layout.record(BUILD), b'{"result": "SUCCESS", "detail": "' + b"x" * RECORD_LIMIT + b'"}')
    assert lab.results.outcome(BUILD) is None


def test_a_name_that_is_no_build_is_unknown(tmp_path):
    assert StoredLab(tmp_path).results.outcome(BuildId("../../etc/passwd")) is None
