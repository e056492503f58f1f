from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.worker_lab import WorkerLab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[WorkerLab]:
    lab = WorkerLab(tmp_path)
    yield lab
    lab.close()
