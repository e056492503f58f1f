"""What a developer hears of a build, under a real `torii up`: one note a build set, whose links lead to the logs they speak of."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.rig import Rig
from torii.cli import run

REPORT = '<testsuite><testcase classname="tests.test_door" name="test_it_opens"><failure/></testcase><testcase name="ok"/></testsuite>'


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    made.seed(
        {
            "unit": made.job(
                f"printf '%s' '{REPORT}' > report.xml", "echo 'the hinge: <b>rust</b>'", "exit 1", reports={"junit": "report.xml"}
            ),
            "lint": made.job("echo 'nothing to say'"),
        },
        {"check": ["unit", "lint"], "gate": [], "post": []},
    )
    made.up()
    yield made
    made.close()


def fetched(url: str) -> str:
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(url, timeout=20) as answer:  # a page of the server that this test started
        return answer.read().decode()


def test_the_note_is_short_names_the_failing_test_and_its_links_lead_to_each_log(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    commit = rig.change("door")
    rig.push(check=["door"])
    assert rig.wait_for_outcome("door", "check") == "failure"
    rig.wait(lambda: rig.reports())
    note = rig.lab.said(commit)
    assert len(rig.reports()) == 1
    assert len(note.splitlines()) < 15
    assert "test_it_opens" in note

    links = dict(re.findall(r"^- (\w+) (http\S+) :", note, re.MULTILINE))
    assert set(links) == {"unit", "lint"}
    assert "nothing to say" in fetched(links["lint"])
    page = fetched(links["unit"])
    assert "the hinge: &lt;b&gt;rust&lt;/b&gt;" in page
    assert "test_it_opens" in page
    assert "the hinge: <b>rust</b>" in fetched(f"{links['unit']}/log")

    capsys.readouterr()
    where = ["--server", str(rig.folder / "server.yml"), "--state", str(rig.state)]
    assert run(["explain", "door", "--json", *where]) == 0
    explained = json.loads(capsys.readouterr().out)
    assert "test_it_opens" in json.dumps(explained)
    assert run(["status", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)["scheduler"]
    assert run(["replay", str(rig.state), "--json", "--change", "door"]) == 0
    decisions = [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()]
    assert decisions == rig.why("door")
