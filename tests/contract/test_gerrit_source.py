from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.source import SourceContract
from tests.support.gerrit_lab import GerritLab
from torii.config.settings import EventsBy
from torii.testing.gerrit import GerritSite


@pytest.mark.needs("gerrit")
class TestByStream(SourceContract):
    @pytest.fixture
    def lab(self, gerrit: GerritSite, tmp_path: Path) -> Iterator[GerritLab]:
        lab = GerritLab(gerrit, tmp_path)
        yield lab
        lab.close()


@pytest.mark.needs("gerrit")
class TestByAskingAlone(SourceContract):
    @pytest.fixture
    def lab(self, gerrit: GerritSite, tmp_path: Path) -> Iterator[GerritLab]:
        lab = GerritLab(gerrit, tmp_path, events=EventsBy.CATCH_UP, catch_up=0.5)
        yield lab
        lab.close()
