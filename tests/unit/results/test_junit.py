"""Test reports as the tools write them, and as strangers do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from torii.model.build import TestSummary
from torii.results import junit
from torii.results.junit import parse_reports

PYTEST = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4" time="0.1">
<testcase classname="tests.test_login.TestLogin" name="test_ok" time="0.001"/>
<testcase classname="tests.test_login.TestLogin" name="test_wrong[a-1]"><failure message="assert 1 == 2">def</failure></testcase>
<testcase classname="tests.test_db" name="test_db"><error message="failed on setup">no such file</error></testcase>
<testcase classname="tests.test_db" name="test_skip"><skipped type="pytest.skip" message="no db">x</skipped></testcase>
</testsuite></testsuites>"""

SUREFIRE = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" name="com.example.AppTest" tests="3" errors="0" skipped="1" failures="1">
  <properties><property name="java.version" value="17"/></properties>
  <testcase name="adds" classname="com.example.AppTest" time="0.01"><flakyFailure message="once"/></testcase>
  <testcase name="divides" classname="com.example.AppTest"><failure message="by zero" type="E"><![CDATA[at com.example]]></failure>
    <rerunFailure message="again"/><system-out>hello</system-out></testcase>
  <testcase name="later" classname="com.example.AppTest"><skipped/></testcase>
</testsuite>"""

GO = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="2" failures="1"><testsuite name="example.com/app/store" tests="2" failures="1">
<testcase name="TestPut" classname="example.com/app/store" time="0.000"/>
<testcase name="TestGet/empty" classname="example.com/app/store"><failure message="Failed">store_test.go:12</failure></testcase>
</testsuite></testsuites>"""

JEST = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="jest tests" tests="2" failures="1"><testsuite name="login" errors="0" failures="1" tests="2">
<testcase classname="login refuses a wrong password" name="login refuses a wrong password"><failure>Error: nope</failure></testcase>
<testcase classname="login" name="lets in"/>
</testsuite></testsuites>"""

GOOGLETEST = """<?xml version="1.0"?>
<testsuites tests="2"><testsuite name="Ring"><testcase name="Wraps" status="run" classname="Ring"/>
<testcase name="DISABLED_Grows" status="notrun" classname="Ring"/></testsuite></testsuites>"""

NESTED = """<testsuites><testsuite name="outer"><testsuite name="inner"><testcase name="deep"><failure/></testcase></testsuite>
<testcase name="shallow"><failure/></testcase></testsuite></testsuites>"""


@pytest.fixture
def read(tmp_path):
    """Return the summary and notes of reports given as text or bytes."""

    def read(*reports):
        paths = []
        for number, report in enumerate(reports):
            path = tmp_path / f"report-{number}.xml"
            path.write_bytes(report if isinstance(report, bytes) else report.encode())
            paths.append(path)
        notes: list[str] = []
        return parse_reports(paths, notes.append), notes

    return read


@pytest.mark.parametrize(
    ("report", "summary"),
    [
        pytest.param(PYTEST, TestSummary(4, 2, 1, ("tests.test_login.TestLogin.test_wrong[a-1]", "tests.test_db.test_db")), id="pytest"),
        pytest.param(SUREFIRE, TestSummary(3, 1, 1, ("com.example.AppTest.divides",)), id="surefire"),
        pytest.param(GO, TestSummary(2, 1, 0, ("example.com/app/store.TestGet/empty",)), id="go-junit-report"),
        pytest.param(JEST, TestSummary(2, 1, 0, ("login refuses a wrong password",)), id="jest"),
        pytest.param(GOOGLETEST, TestSummary(2, 0, 1), id="googletest"),
        pytest.param(NESTED, TestSummary(2, 2, 0, ("inner.deep", "outer.shallow")), id="nested"),
        pytest.param('<testsuites xmlns="http://example.com/j"/>', TestSummary(), id="empty"),
        pytest.param('<testsuite name="s"><error>boom</error></testsuite>', TestSummary(1, 1, 0, ("s",)), id="suite that broke as a whole"),
    ],
)
def test_reports_of_each_tool_are_counted(read, report, summary):
    assert read(report) == (summary, [])


def test_several_reports_are_counted_together(read):
    summary, notes = read(PYTEST, SUREFIRE)
    assert (summary.total, summary.failed, summary.skipped, len(summary.failing)) == (7, 3, 2, 3)
    assert notes == []


def test_no_reports_are_no_tests():
    assert parse_reports([]) == TestSummary()


LAUGHS = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True))
BOMB = f'<!DOCTYPE t [<!ENTITY a "aaaaaaaaaa">{LAUGHS}]><testsuite><testcase name="&j;"/></testsuite>'


@pytest.mark.parametrize(
    ("report", "says"),
    [
        pytest.param(BOMB, "declares XML entities", id="billion laughs"),
        pytest.param(
            '<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite>&x;</testsuite>',
            "declares XML entities",
            id="external entity",
        ),
        pytest.param("not xml at all", "not well-formed XML", id="text"),
        pytest.param("", "it is empty", id="empty file"),
        pytest.param("<html><body/></html>", "its first element is <html>", id="other XML"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10, "not well-formed XML", id="binary"),
        pytest.param('<?xml version="1.0" encoding="klingon"?><testsuite/>', "encoding", id="unknown encoding"),
        pytest.param(b'<testsuite name="\xff\xfe"/>', "not well-formed XML", id="not UTF-8"),
        pytest.param("<testsuite>" * 500, "nested deeper", id="deep nesting"),
    ],
)
def test_a_hostile_or_broken_report_becomes_a_note(read, report, says):
    summary, notes = read(report)
    assert summary.failed == 0
    assert len(notes) == 1
    assert notes[0].startswith("test report report-0.xml: ")
    assert says in notes[0]


def test_a_broken_report_does_not_hide_the_next_one(read):
    summary, notes = read("nonsense", GO)
    assert summary.total == 2
    assert len(notes) == 1


def test_what_was_read_before_a_report_breaks_off_counts(read):
    summary, notes = read(GO.partition("</testsuite>")[0])
    assert (summary.total, summary.failed) == (2, 1)
    assert "not well-formed" in notes[0]


def test_control_characters_that_xml_forbids_do_not_hide_failures(read):
    report = b'<testsuite name="s"><testcase name="t"><failure>\x1b[31mred\x1b[0m \x00\x07</failure></testcase></testsuite>'
    assert read(report) == (TestSummary(1, 1, 0, ("s.t",)), [])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "iso-8859-1"])
def test_other_encodings_are_read(read, encoding):
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    report = f'<?xml version="1.0" encoding="{declared}"?><testsuite name="s"><testcase name="größer"><failure/></testcase></testsuite>'
    assert read(report.encode(encoding))[0].failing == ("s.größer",)


def test_names_are_cleaned_and_bounded_and_few(read):
    cases = "".join(f'<testcase classname="c" name="t{number}&#10;x\u202e{"y" * 900}"><failure/></testcase>' for number in range(100))
    summary, _ = read(f"<testsuite>{cases}</testsuite>")
    assert summary.failed == 100
    assert len(summary.failing) == junit.FAILING_LIMIT
    assert all(len(name) <= 241 and "\n" not in name and "\u202e" not in name for name in summary.failing)


def test_a_test_that_fails_and_then_breaks_in_teardown_is_named_once(read):
    case = '<testcase classname="c" name="t">%s</testcase>'
    summary, _ = read(f"<testsuite>{case % '<failure/>'}{case % '<error/>'}</testsuite>")
    assert summary.failing == ("c.t",)


def test_links_pipes_and_folders_are_not_read(tmp_path: Path):
    secret = tmp_path / "secret.xml"
    secret.write_text(GO)
    (tmp_path / "link.xml").symlink_to(secret)
    os.mkfifo(tmp_path / "pipe.xml")
    (tmp_path / "folder.xml").mkdir()
    paths = [tmp_path / name for name in ("link.xml", "pipe.xml", "folder.xml", "gone.xml")]
    notes: list[str] = []
    assert parse_reports(paths, notes.append) == TestSummary()
    assert len(notes) == 4


def test_a_report_above_the_limit_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(junit, "REPORT_LIMIT", 1 << 20)
    path = tmp_path / "big.xml"
    path.write_text("<testsuite>" + '<testcase name="x"/>' * 100_000 + "</testsuite>")
    notes: list[str] = []
    assert parse_reports([path], notes.append).total > 0
    assert "larger than 1 MiB" in notes[0]
