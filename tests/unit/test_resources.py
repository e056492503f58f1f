from __future__ import annotations

from pathlib import Path

import pytest

from torii import resources

ROOT = Path(__file__).resolve().parents[2]


def test_a_checkout_reads_the_folders_where_they_stand() -> None:
    assert resources.job_templates() == ROOT / "job-templates"
    assert resources.jjb() == ROOT / "jjb"


def test_a_folder_that_is_not_there_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "torii")
    with pytest.raises(resources.IncompleteInstallationError, match=r"job-templates/ is neither in .*pip install"):
        resources.job_templates()


def test_what_the_wheel_carries_goes_before_what_stands_beside_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for folder in ("torii/_data/jjb", "jjb"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "torii")
    assert resources.jjb() == tmp_path / "torii" / "_data" / "jjb"
