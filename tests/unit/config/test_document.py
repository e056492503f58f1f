from __future__ import annotations

import pytest
import yaml

from torii.config import document
from torii.config.document import Document, native, read_document
from torii.config.wording import did_you_mean, path_text, shown


@pytest.fixture(params=["libyaml", "python"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "libyaml" and not yaml.__with_libyaml__:
        pytest.skip("PyYAML has no libyaml here")
    monkeypatch.setattr(document, "_LOADER", yaml.CSafeLoader if request.param == "libyaml" else yaml.SafeLoader)


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a:\n\tb: c\n", "2:1 not YAML: a tab cannot indent YAML; use spaces"),
        ("a: b: c\n", "1:5 not YAML: a : cannot stand here"),
        ("a: 'x\n", "not YAML: a quote or bracket is not closed"),
        ("a: [1, 2\n", "not YAML: a , or a closing bracket is missing"),
        ("a: {b: 1\n", "not YAML: a , or a closing bracket is missing"),
        ("a:\n  b: 1\n c: 2\n", "3:2 not YAML: this does not fit what stands above it; check the indentation"),
        ("a: @x\n", "1:4 not YAML: a value cannot start with this character; quote the text"),
        ('a: "\\q"\n', "not YAML: an unknown \\ escape between double quotes"),
        ("a: !!int 3\n", '1:4 a: YAML tags are not allowed: "tag:yaml.org,2002:int"'),
        ("a: *b\n", "1:4 a: the alias *b has no anchor &b before it"),
        ("a: 1\na: 2\n", "2:1 a: the key is given twice, first in line 1"),
        ("a: 1\n--- \nb: 2\n", "2:1 a second document starts here"),
        ("a: " + "[" * 40 + "]" * 40, "nested more than 20 deep"),
    ],
)
def test_both_parsers_of_pyyaml_lead_to_the_same_words(text: str, problem: str) -> None:
    found = read_document(text.encode(), "f")
    problems = found.problems if isinstance(found, Document) else found
    assert str(problems[0]).startswith(f"f:{problem}") or problem in str(problems[0]), problems


@pytest.mark.usefixtures("loader")
def test_both_parsers_of_pyyaml_read_the_same() -> None:
    text = 'a: 3.10\nb: "3.10"\nc: |\n  x\n  y\nd: [yes, ~, , "~"]\n'.replace(", ,", ", null,")
    read = read_document(text.encode(), "f")
    assert isinstance(read, Document)
    assert native(read.root) == {"a": "3.10", "b": "3.10", "c": "x\ny\n", "d": ["yes", None, None, "~"]}
    assert [type(value).__name__ for value in native(read.root).values()][:3] == ["Plain", "str", "str"]  # type: ignore[attr-defined]


def test_explicit_keys_win_over_merged_ones_and_the_first_merged_over_the_next() -> None:
    text = "x: &x {a: 1, b: 1, c: 1}\ny: &y {b: 2, d: 2}\nz: {c: 3, <<: [*x, *y]}\n"
    read = read_document(text.encode(), "f")
    assert isinstance(read, Document)
    assert native(read.root)["z"] == {"c": "3", "a": "1", "b": "1", "d": "2"}  # type: ignore[index]


def test_a_path_is_written_as_one_would_point_at_it() -> None:
    assert path_text(("jobs", "unit", "needs", 0, "job")) == "jobs.unit.needs[0].job"
    assert path_text(("jobs", "a.b", "x y")) == 'jobs."a.b"."x y"'


def test_text_from_a_file_is_shown_without_harm() -> None:
    assert shown("a\x1b[0m\n") == '"a\\u001b[0m\\u000a"'
    assert len(shown("x" * 1000)) < 70
    assert shown('a"b\\') == '"a\\"b\\\\"'


def test_a_near_word_is_suggested_and_a_far_one_is_not() -> None:
    assert did_you_mean("votng", ["voting", "when"]) == 'did you mean "voting"?'
    assert did_you_mean("default_pipelines", ["default-pipelines"]) == 'did you mean "default-pipelines"?'
    assert did_you_mean("xyz", ["voting", "when"]) == ""
    assert did_you_mean("v" * 1000, ["voting"]) == ""
