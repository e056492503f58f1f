from __future__ import annotations

from pathlib import Path

import pytest

from torii.jobs import JobLibrary, JobSource, digest
from torii.jobs.files import own_files
from torii.jobs.memo import Memo, key_of
from torii.model.ids import ProjectName
from torii.model.job import JobDefinition

SOURCE = JobSource(ProjectName("app"), "main", JobDefinition("unit", "make"))


def test_an_outline_says_what_rendering_would(tmp_path: Path):
    library = JobLibrary(memo=Memo(tmp_path / "state" / "jobs.json"))
    (outline,), (job,) = library.outlines([SOURCE], ["junit"]), library.render([SOURCE], ["junit"])
    assert (outline.name, outline.digest, outline.plugins) == (job.name, digest(job.xml), job.plugins)
    again = JobLibrary(memo=Memo(tmp_path / "state" / "jobs.json"))
    assert again.outlines([SOURCE], ["junit"]) == [outline]


def test_what_is_remembered_is_not_made_again(tmp_path: Path):
    memo = Memo(tmp_path / "jobs.json")
    library = JobLibrary(memo=memo)
    memo.put({key_of(SOURCE, (), library.files.digest, None): "remembered"})
    assert JobLibrary(memo=Memo(tmp_path / "jobs.json")).outlines([SOURCE], [])[0].digest == "remembered"
    assert JobLibrary("https://ci.example.com", memo=memo).outlines([SOURCE], [])[0].digest != "remembered"


def test_other_templates_plugins_jobs_and_addresses_have_other_keys(tmp_path: Path):
    (tmp_path / "jjb").mkdir()
    (tmp_path / "jjb" / "defaults.yaml").write_text("- defaults: {name: torii}\n")
    own, other = own_files(), own_files().replaced_by(tmp_path, "ci-config")
    keys = {
        key_of(SOURCE, (), own.digest, None),
        key_of(SOURCE, ("junit",), own.digest, None),
        key_of(SOURCE, (), other.digest, None),
        key_of(SOURCE, (), own.digest, "https://ci.example.com"),
        key_of(JobSource(SOURCE.project, "other", SOURCE.job), (), own.digest, None),
    }
    assert len(keys) == 5


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"version": 1, "digests": 5}', '{"version": 1, "digests": {"k": 5}}'])
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, text: str):
    (tmp_path / "jobs.json").write_text(text)
    memo = Memo(tmp_path / "jobs.json")
    assert memo.get("k") is None
    memo.put({"k": "d"})
    assert Memo(tmp_path / "jobs.json").get("k") == "d"


def test_it_does_not_grow_for_ever(tmp_path: Path):
    memo = Memo()
    memo.put({f"old{number}": "d" for number in range(20_000)})
    memo.put({"new": "d"})
    assert memo.get("new") == "d"
    assert memo.get("old0") is None
    assert memo.get("old1") == "d"


def test_one_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path):
    (tmp_path / "jobs.json" / "in the way").mkdir(parents=True)
    memo = Memo(tmp_path / "jobs.json")
    memo.put({"a": "1"})
    assert memo.get("a") == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["jobs.json"]
