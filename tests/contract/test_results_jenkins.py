"""Results gathered from a Jenkins keep the contract of `Results`."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.contract.results_contract import ResultsContract
from tests.support.results_lab import ResultsLab, definition
from torii.results import layout
from torii.results.run import Run


class JenkinsLab(ResultsLab):
    """Ends builds as Jenkins does; what is known of them comes through the gatherer."""

    base_url = "http://torii.example.com"

    def __init__(self, folder):
        self.now = 1_000_000.0
        super().__init__(folder, clock=lambda: self.now)
        self.job(hold=True)
        self.runs: dict[str, Run] = {}

    def start(self, build):
        run = self.runs[build] = self.run(build=build)
        self.gatherer.follow(run, definition(junit=("r.xml",), comments="comments.json"))
        self.write(run, b"hello\n")
        self.until(lambda: self.log(run).endswith(b"hello\n"))

    def end(self, build, result, tests=None, artifacts=(), comments=()):
        run, said = self.runs[build], self.build(self.runs[build])
        said.artifacts = dict.fromkeys(artifacts, b"something")
        if comments:
            plain = [{"path": c.path, "message": c.message, "line": c.line, "end_line": c.end_line} for c in comments]
            said.artifacts["comments.json"] = json.dumps(plain).encode()
        if tests is not None:
            cases = [{"className": "", "name": name, "status": "FAILED"} for name in tests.failing]
            counts = {"failCount": tests.failed, "skipCount": tests.skipped, "passCount": tests.total - tests.failed - tests.skipped}
            said.tests = {**counts, "suites": [{"cases": cases}]}
        self.now += 2.5
        self.release(run, result.value)
        self.finish(run).outcome()

    def damage(self, build):
        self.blobs.put(layout.record(build), b'{"result": "SUCC')


class TestResultsOfJenkins(ResultsContract):
    @pytest.fixture
    def lab(self, tmp_path):
        lab = JenkinsLab(tmp_path)
        yield lab
        lab.close()

    def test_an_ended_build_tells_all_that_it_left(self, lab):
        """The file of comments is archived by the job in Jenkins, and so an artifact like the others."""
        outcome = lab.results.outcome
        lab.results.outcome = lambda build: _without_comments(outcome(build))
        super().test_an_ended_build_tells_all_that_it_left(lab)


def _without_comments(outcome):
    assert outcome.artifacts[0] == "comments.json"
    return replace(outcome, artifacts=outcome.artifacts[1:])
