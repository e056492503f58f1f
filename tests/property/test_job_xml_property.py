"""Whatever a `torii.yml` says to run arrives in Jenkins' job as it is."""

from __future__ import annotations

from functools import cache
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from torii.jobs import JobLibrary, JobSource, job_name
from torii.model.ids import ProjectName
from torii.model.job import JobDefinition

XML = st.characters(
    exclude_categories=["Cs"], exclude_characters=[chr(n) for n in range(0x20) if n not in (9, 10, 13)] + ["\ufffe", "\uffff"]
)
SCRIPTS = st.text(XML) | st.lists(
    st.sampled_from(
        [
            "{",
            "}",
            "{{",
            "}}",
            "{name}",
            "{obj:x}",
            "{a|b}",
            "${X}",
            '"',
            "'",
            "\\",
            "]]>",
            "\n",
            "\r\n",
            " ",
            "é",
            "🎉",
            "#",
            ": ",
            "- ",
            "%",
            "!include",
            "&a",
            "*a",
            "<![CDATA[",
        ]
    )
).map("".join)


@cache
def library() -> JobLibrary:
    return JobLibrary()


def arrived(run: str, value: str, *plugins: str) -> tuple[str | None, str | None]:
    job = JobDefinition("unit", run, variables=(("VALUE", value),))
    (made,) = library().render([JobSource(ProjectName("app"), "main", job)], plugins)
    root = ElementTree.fromstring(made.xml)
    (default,) = [
        each.findtext("defaultValue") for each in root.iter("hudson.model.StringParameterDefinition") if each.findtext("name") == "VALUE"
    ]
    return root.findtext("builders/hudson.tasks.Shell/command"), default


@given(run=SCRIPTS, value=SCRIPTS)
@settings(max_examples=60)
@example(run="{", value="}")
@example(run="trailing\n\n\n", value=" leading")
@example(run="\n", value="\t")
@example(run="\x85\u2028\ufeff\x7f", value="\r")
@example(run="{name}{{name}}{description}", value="{parameter}{value}{variable}")
@example(run="echo 'é {' ]]> \\\n" * 6000, value="")
def test_run_and_variables_arrive_unchanged(run: str, value: str):
    assert arrived(run, value, "build-timeout") == (run, value)
    # In a Jenkins that cannot end builds by itself the step stands whole between two lines that are not in it.
    command, default = arrived(run, value)
    assert default == value
    delimiter = next(line for line in (command or "").splitlines() if line.startswith('cat >"$step" <<')).split("'")[1]
    assert delimiter not in run
    assert f"<<'{delimiter}'\n{run}\n{delimiter}\n" in (command or "")


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_no_two_jobs_share_a_name(one: tuple[str, str, str], two: tuple[str, str, str]):
    assert (job_name(*one) == job_name(*two)) == (one == two)


@pytest.mark.parametrize("letters", ["ab-./"])
def test_no_two_short_jobs_share_a_name(letters: str):
    parts = ["", *letters, *(x + y for x in letters for y in letters)]
    triples = [(a, b, c) for a in parts for b in parts for c in parts]
    assert len({job_name(*triple) for triple in triples}) == len(triples)
