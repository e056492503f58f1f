"""The parts of the fake Jenkins that need no Jenkins: what the API shows, payloads, config.xml, logs, names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torii.testing.jenkins import job_xml
from torii.testing.jenkins.core import BadNameError, check_name
from torii.testing.jenkins.jobconfig import BadXmlError, read_config, stored, with_disabled
from torii.testing.jenkins.log import HugeLog, Log, note, pieces, shown
from torii.testing.jenkins.payload import PayloadError, read_payload
from torii.testing.jenkins.rendering import Shown, TreeError, by_depth, by_tree, parse_tree
from torii.testing.jenkins.reports import report

# -- what the API shows


def build(number: int) -> Shown:
    return Shown("Build").add(2, number=number).add(1, result="SUCCESS")


JOB = Shown("Job").add(999, name="app").add(1, builds=[build(number) for number in range(5)], inline=False).add(1, description="text")


def test_depth_shows_more_of_what_is_further_away() -> None:
    assert by_depth(JOB, 0)["builds"][0] == {"_class": "Build", "number": 0}
    assert by_depth(JOB, 1)["builds"][0] == {"_class": "Build", "number": 0, "result": "SUCCESS"}
    assert by_depth(JOB, -1) == {"_class": "Job", "name": "app"}


def test_what_is_inline_counts_as_one_level_with_what_holds_it() -> None:
    assert by_depth(Shown("Queue").add(1, inline=True, items=[build(1)]), 0)["items"] == [by_depth(build(1), 0)]


@pytest.mark.parametrize(
    ("tree", "wanted"),
    [
        ("name", {"name": "app"}),
        ("name,builds[number]{0,2}", {"name": "app", "builds": [{"_class": "Build", "number": 0}, {"_class": "Build", "number": 1}]}),
        ("builds[result]{3}", {"builds": [{"_class": "Build", "result": "SUCCESS"}]}),
        ("builds[number]{4,}", {"builds": [{"_class": "Build", "number": 4}]}),
        ("builds[number]{,1}", {"builds": [{"_class": "Build", "number": 0}]}),
        ("nothing[of[this]]", {}),
    ],
)
def test_a_tree_shows_what_it_names(tree: str, wanted: dict[str, object]) -> None:
    assert by_tree(JOB, parse_tree(tree)) == {"_class": "Job", **wanted}


@pytest.mark.parametrize("tree", ["jobs[name", "a]b", "a[b]]"])
def test_a_tree_with_a_bracket_too_many_or_too_few_is_wrong(tree: str) -> None:
    with pytest.raises(TreeError):
        parse_tree(tree)


# -- payloads


@given(st.dictionaries(st.text(), st.text()))
def test_every_flat_object_of_strings_is_read_as_it_is(parameters: dict[str, str]) -> None:
    for text in (json.dumps(parameters), json.dumps(parameters, ensure_ascii=True, indent=1)):
        wanted = {name.encode("utf-8", "replace").decode(): value.encode("utf-8", "replace").decode() for name, value in parameters.items()}
        assert read_payload(text.encode("utf-8", "replace")) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"A": 1, "B": 1.50, "C": true, "D": null}', {"A": "1", "B": "1.50", "C": "true", "D": None}),
        ("{A: b, 'c': 'd e'}", {"A": "b", "c": "d e"}),
        ('\ufeff{"a": "\\u00e9\\n\\"\\\\"}', {"a": 'é\n"\\'}),
    ],
)
def test_a_payload_is_read_as_leniently_as_gson_does(text: str, wanted: dict[str, str]) -> None:
    assert read_payload(text.encode()) == wanted


@given(st.binary(max_size=40))
def test_no_payload_does_worse_than_an_exception(data: bytes) -> None:
    try:
        read_payload(b"{" + data)
    except PayloadError as error:
        assert str(error).startswith("java.lang.RuntimeException: ")


# -- config.xml


def test_a_config_says_what_jenkins_needs_to_know() -> None:
    found = read_config(job_xml("make", parameters=("A", "B=b"), label="linux && big", concurrent=False).encode())
    assert [(each.name, each.default) for each in found.parameters] == [("A", ""), ("B", "b")]
    assert (found.label, found.concurrent, found.disabled, found.is_folder) == ("linux && big", False, False, False)


@pytest.mark.parametrize("xml", [b"", b"no XML", b"<project>", b"<no.such.Class/>", b"<project>&nbsp</project>"])
def test_what_is_no_job_is_refused(xml: bytes) -> None:
    with pytest.raises(BadXmlError):
        read_config(xml)


@pytest.mark.parametrize("xml", [job_xml("make").encode(), b"<project/>", b"<project><a/></project>\n"])
def test_a_job_is_disabled_and_enabled_in_its_config(xml: bytes) -> None:
    disabled = with_disabled(xml, True)
    assert read_config(disabled).disabled
    assert not read_config(with_disabled(disabled, False)).disabled


def test_a_config_is_kept_behind_a_declaration_of_jenkins_own() -> None:
    assert stored(b"<?xml version='1.1' encoding='latin1'?>\n<project/>") == b'<?xml version="1.1" encoding="UTF-8"?><project/>'
    assert stored(b"\n<project/>") == b'<?xml version="1.0" encoding="UTF-8"?><project/>'


@pytest.mark.parametrize("name", ["app", "a b", "über", "a'b", "a.b"])
def test_names_that_jenkins_takes(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a.", "a/b", "a?b", "a*b", "a%b", "<a>", "a:b", "a\tb"])
def test_names_that_jenkins_refuses(name: str) -> None:
    with pytest.raises(BadNameError):
        check_name(name)


# -- logs


@given(
    st.lists(st.sampled_from([b"text\n", b"\x1b[31mred\x1b[0m\n", note("Note"), b"\x1b", b"\xff\x00", b"\n"]), max_size=30),
    st.integers(1, 50),
)
def test_a_log_read_in_pieces_is_the_log(parts: list[bytes], size: int) -> None:
    log = Log()
    log.write(b"".join(parts))
    assert b"".join(pieces(log, 0, log.size, crlf=False, piece=size)) == shown(log.read(0, log.size))


@given(st.integers(0, 4000), st.integers(0, 300))
def test_a_huge_log_is_the_same_wherever_it_is_read(start: int, length: int) -> None:
    log = HugeLog(4000)
    whole = log.read(0, 4000)
    assert len(whole) == 4000
    assert log.read(start, start + length) == whole[start : start + length]
    assert whole.endswith(b"\nFinished: SUCCESS\n")


# -- test reports


def test_reports_are_shown_as_the_plugin_does(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(
        "<testsuites><testsuite name='s'><testcase name='x' time='1.5'><error>e</error></testcase></testsuite></testsuites>"
    )
    (tmp_path / "b.xml").write_text("broken")
    found = report([tmp_path / "a.xml", tmp_path / "b.xml", tmp_path / "none.xml"])
    assert found is not None
    assert (found["failCount"], found["passCount"], found["skipCount"], found["duration"]) == (1, 0, 0, 1.5)
    assert report([tmp_path / "b.xml"]) is None
