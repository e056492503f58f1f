"""The Jenkins contract, on the fake, and on a real Jenkins where the environment names one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.jenkins import JenkinsContract
from tests.support.jenkins_lab import JenkinsLab, real_jenkins, why_no_real_jenkins
from torii.gearman import Server
from torii.testing.jenkins import FakeJenkins, FakeNode


class RealJenkinsLeftOut(UserWarning):
    """Says why the suite does not run on a real Jenkins. (A skip would fail in CI, where no Jenkins can be had.)"""


class TestFakeJenkins(JenkinsContract):
    @pytest.fixture
    def lab(self, tmp_path: Path) -> Iterator[JenkinsLab]:
        server = Server()
        server.start()
        nodes = [FakeNode("agent1", ("linux",), executors=2), FakeNode("agent2")]
        with FakeJenkins(tmp_path / "jenkins", gearman=[server.address], nodes=nodes, base="/behind/a/proxy") as fake:
            fake.lag = 0.02
            lab = JenkinsLab(fake.url, fake.user, fake.token, server.address, limit=20.0)
            yield lab
            lab.close()
        server.stop()


if reason := why_no_real_jenkins():
    warnings.warn(reason, RealJenkinsLeftOut, stacklevel=1)
else:

    class TestRealJenkins(JenkinsContract):
        @pytest.fixture
        def lab(self) -> Iterator[JenkinsLab]:
            with real_jenkins() as lab:
                yield lab
