"""What is kept: the cursor's text and the landings' files. And which source a connection gets."""

from __future__ import annotations

import pytest

from torii.config.settings import GitConnection, ProjectSettings
from torii.errors import OperatorError
from torii.model.change import ChangeStatus
from torii.model.ids import ChangeId, ProjectName, Sha
from torii.model.pipeline import ProjectSpec
from torii.sources.git.derive import Landing
from torii.sources.git.known import KnownChange, KnownProject, UnreadableCursorError, dump, load
from torii.sources.git.landings import KEPT, LandingBook
from torii.sources.registry import open_source

APP, A, B = ProjectName("app"), Sha("a" * 40), Sha("b" * 40)


def test_a_cursor_comes_back_as_it_was():
    change = KnownChange(
        project=APP,
        name="main/a",
        branch="main",
        patchset=A,
        ref="refs/heads/review/main/a",
        status=ChangeStatus.ABANDONED,
        approved=True,
        disapproval=("no",),
        title="Grüße 🙂",
        owner="Dev <dev@example.com>",
        below=(ChangeId("app:main/b"),),
        wants=(ChangeId("lib:main/c"),),
        problem="too long",
    )
    known = {APP: KnownProject({"main": B}, {"main/a": change}, 7)}
    assert load(dump(known)) == known


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 99, "projects": {}}', '{"version": 1, "projects": {"a": {}}}', "null"])
def test_a_cursor_of_another_making_is_an_error_in_words(text):
    with pytest.raises(UnreadableCursorError, match="cannot be read"):
        load(text)


def test_landings_are_found_again_by_the_next_process(tmp_path):
    LandingBook(tmp_path).record(APP, "main/a", Landing(A, B))
    assert LandingBook(tmp_path).of(APP) == {"main/a": Landing(A, B)}
    assert LandingBook(tmp_path).of(ProjectName("other/x")) == {}


def test_landings_that_cannot_be_read_are_none(tmp_path):
    (tmp_path / "app.json").write_text("{")
    book = LandingBook(tmp_path)
    assert book.of(APP) == {}
    book.record(APP, "main/a", Landing(A, B))
    assert LandingBook(tmp_path).of(APP) == {"main/a": Landing(A, B)}


def test_only_so_many_landings_are_kept(tmp_path):
    book = LandingBook(tmp_path)
    for number in range(KEPT + 2):
        book.record(APP, f"main/{number}", Landing(A, B))
    assert len(book.of(APP)) == KEPT
    assert "main/0" not in book.of(APP)


def test_a_connection_gets_the_source_of_its_kind_with_its_own_projects(tmp_path):
    projects = [
        ProjectSettings(ProjectSpec(ProjectName(name)), connection, "/x", "/x") for name, connection in (("a", "one"), ("b", "two"))
    ]
    source = open_source(GitConnection("one"), projects, tmp_path, lambda events, cursor=None: None, lambda report: "")
    assert source.name == "one"
    assert source.project_health() == {"a": "not read yet"}
    assert source.health() == "ok"


def test_a_connection_of_no_known_kind_is_an_error_in_words(tmp_path):
    with pytest.raises(OperatorError, match="no source"):
        open_source("gerrit", [], tmp_path, lambda events, cursor=None: None, lambda report: "")
