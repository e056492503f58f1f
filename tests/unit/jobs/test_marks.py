from __future__ import annotations

import dataclasses
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torii.jobs import OWNERSHIP_MARK, JobLibrary, JobSource, Mark, RenderedJob, changed_job_name, digest, mark_of, marked, read_mark
from torii.jobs.marks import comment, with_mark
from torii.model.ids import ProjectName
from torii.model.job import JobDefinition

SOURCE = JobSource(ProjectName("tools/app"), "main", JobDefinition("unit", "echo 'a\r\nb' ]]> {x}\n"))
NAMES = st.text() | st.sampled_from(["-->", "--", "<!--", "--!>", "]]>", "&gt;", "a--b", "é", "\ud800", "} -->"])


@pytest.fixture(scope="module")
def job() -> RenderedJob:
    (made,) = JobLibrary("https://ci.example.com").render([SOURCE])
    return made


def description(xml: bytes) -> str:
    return ElementTree.fromstring(xml).findtext("description", "")


def test_a_mark_is_read_from_the_description_that_a_listing_shows(job):
    mark = mark_of(job, SOURCE, "team-a", "k3f9")
    text = description(marked(job.xml, mark))
    assert OWNERSHIP_MARK in text
    assert read_mark(text) == mark
    assert (mark.owner, mark.project, mark.branch, mark.job, mark.copy_of_instance) == ("team-a", "tools/app", "main", "unit", "k3f9")


def test_the_mark_changes_nothing_else_and_not_the_digest(job):
    mark = mark_of(job, SOURCE, "torii")
    twice = marked(marked(job.xml, dataclasses.replace(mark, digest="old")), mark)
    assert twice == marked(job.xml, mark)
    assert digest(twice) == digest(job.xml) == mark.digest
    assert twice.replace(comment(mark).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").encode(), b"") == job.xml
    assert b"&#13;" in twice


def test_a_job_whose_template_says_nothing_of_torii_is_marked_all_the_same():
    mark = Mark("torii", "app", "main", "unit", "d")
    for xml in (b"<project><builders /></project>", b"<project><description>ours</description></project>"):
        text = description(marked(xml, mark))
        assert OWNERSHIP_MARK in text
        assert read_mark(text) == mark


def test_digests_differ_where_the_jobs_do(job):
    assert digest(job.xml) != digest(job.xml.replace(b"echo", b"print"))


@given(NAMES, NAMES, NAMES, NAMES)
def test_whatever_names_hold_the_comment_is_one_and_is_read_back(owner, project, branch, name):
    mark = Mark(owner, project, branch, name, "0" * 32)
    text = comment(mark)
    assert text.isascii()
    assert "--" not in text.removeprefix("<!--").removesuffix("-->")
    assert not set("<>&") & set(text.removeprefix("<!--").removesuffix("-->"))
    assert read_mark(f"before {text} after") == mark


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a job by hand",
        OWNERSHIP_MARK,
        "<!-- torii-job {} -->",
        '<!-- torii-job {"owner":1,"project":"a","branch":"b","job":"c","digest":"d"} -->',
        '<!-- torii-job {"owner":"o","project":"a","branch":"b","job":"c","digest":"d","plugins":[1]} -->',
        "<!-- torii-job {" + "[" * 100_000 + "} -->",
        "<!-- torii-job [] -->",
    ],
)
def test_what_is_no_mark_is_none(text):
    assert read_mark(text) is None


def test_of_two_marks_the_last_counts_which_is_toriis_own():
    forged, own = Mark("other", "a", "b", "c", "d"), Mark("torii", "app", "main", "unit", "e")
    assert read_mark(f"{comment(forged)} text {comment(own)}") == own


def test_a_mark_counts_on_the_job_that_was_marked_and_on_no_copy_of_it():
    mark = Mark("torii", "app", "main", "unit", "d")
    assert mark.belongs_to("app--main--unit")
    assert not mark.belongs_to("app--main--unit-copy")
    assert not mark.belongs_to(changed_job_name("app--main--unit", b"xml"))
    copy = dataclasses.replace(mark, copy_of_instance="k3f9")
    assert copy.belongs_to(changed_job_name("app--main--unit", b"xml"))
    assert not copy.belongs_to("app--main--unit")


def test_no_description_takes_long_to_look_through():
    assert read_mark("<!-- torii-job {" * 200_000) is None
    assert read_mark("<!-- torii-job {" + "}" * 1_000_000) is None


def test_when_a_copy_was_made_is_told_and_makes_no_mark_another():
    mark = Mark("torii", "app", "main", "unit", "d", "k3f9", made_at=1_700_000_000)
    read = read_mark(with_mark("", mark))
    assert read is not None
    assert (read, read.made_at) == (Mark("torii", "app", "main", "unit", "d", "k3f9"), 1_700_000_000)
    for wrong in ("-1", "1e3", '"1"', "9" * 400):
        assert read_mark(comment(mark).replace("1700000000", wrong)) is None
