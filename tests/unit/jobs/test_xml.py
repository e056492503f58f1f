from __future__ import annotations

import html
from xml.etree import ElementTree

import pytest
from jenkins_jobs.constants import MAGIC_MANAGE_STRING

from torii.jobs.marks import Mark, marked
from torii.jobs.xml import difference, parse, same, serialise

STEP = b"<hudson.tasks.Shell><command>one\ntwo\n</command></hudson.tasks.Shell>"
OLD = b"<project><description>a</description><builders>" + STEP + b"</builders></project>"
HEAD = b"<?xml version='1.1' encoding='UTF-8'?>\n"


def test_layout_the_declaration_and_versions_of_plugins_make_no_difference():
    noted = HEAD + OLD.replace(b"<builders>", b'\n  <builders plugin="x@1.2">')
    assert same(OLD, noted)
    assert difference(OLD, noted, "job") == ""


def test_that_a_job_is_not_disabled_and_who_else_claims_it_make_no_difference():
    enabled = OLD.replace(b"<builders>", b"<disabled>false</disabled><builders>")
    assert same(OLD, enabled)
    assert not same(OLD, enabled.replace(b"false", b"true"))
    nested = OLD.replace(b"</builders>", b"<x><disabled>false</disabled></x></builders>")
    assert not same(OLD, nested)
    claimed = OLD.replace(b">a<", f">a{html.escape(MAGIC_MANAGE_STRING)}<".encode())
    assert same(OLD, claimed)
    assert difference(claimed, enabled, "job") == ""


def test_a_difference_leaves_the_mark_out():
    marks = [marked(OLD, Mark("torii", "app", "main", "unit", digest)) for digest in ("1", "2")]
    assert not same(*marks)
    assert difference(*marks, "job") == ""
    text = difference(marks[0], marks[1].replace(b"two", b"three"), "job")
    assert "torii-job" not in text
    assert "\n-two\n+three\n" in text


@pytest.mark.parametrize("change", [(b"two", b"2"), (b"two\n", b"two"), (b"<builders>", b"<builders class='x'>"), (b">a<", b"> a<")])
def test_what_a_job_says_makes_a_difference(change):
    assert not same(OLD, OLD.replace(*change))


def test_a_difference_shows_lines_of_scripts_and_elements():
    text = difference(OLD, OLD.replace(b"two", b"three").replace(b">a<", b">b<"), "app--main--unit")
    assert text.startswith("--- app--main--unit (in Jenkins)\n+++ app--main--unit (from torii.yml)\n")
    assert "-  <description>a</description>\n+  <description>b</description>\n" in text
    assert "\n-two\n+three\n" in text


def test_what_is_no_xml_can_be_compared_as_well():
    assert same(b"<a", b"<a")
    assert "-<a" in difference(b"<a", OLD, "x")
    assert parse(b'<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>') is None


@pytest.mark.parametrize("reference", ["&#x1b;", "&#x1B;", "&#27;", "&#x0;", "&#011;", "&#x0c;"])
def test_a_character_that_only_jenkins_can_hold_is_read_as_another(reference):
    found = parse(HEAD + OLD.replace(b"one", f"one{reference}".encode()))
    assert found is not None
    assert found.findtext(".//command") == "one\ufffd\ntwo\n"
    assert parse(b"<a>&#9;&#xA;&#13;&#x20;&#x10FFFF;&#x85;</a>").text == "\t\n\r \U0010ffff\x85"
    assert not same(OLD, OLD.replace(b"one", f"one{reference}".encode()))


def test_what_is_written_is_read_back_and_written_the_same():
    root = ElementTree.fromstring("<a><b>x\r\n\t</b><c/></a>".replace("\r", "&#13;"))
    data = serialise(root)
    found = parse(data)
    assert found is not None
    assert found.findtext("b") == "x\r\n\t"
    assert serialise(found) == data
