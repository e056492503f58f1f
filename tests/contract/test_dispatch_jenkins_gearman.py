from __future__ import annotations

import pytest

from tests.contract.dispatcher import DispatcherContract
from tests.support.gearman_servers import EmbeddedServer, Gearmand
from tests.support.jenkins_gearman_lab import JenkinsLab


class TestOnJenkinsAndTheEmbeddedServer(DispatcherContract):
    @pytest.fixture
    def lab(self, tmp_path):
        lab = JenkinsLab(EmbeddedServer(), tmp_path)
        yield lab
        lab.close()


@pytest.mark.needs("gearmand")
class TestOnJenkinsAndGearmand(DispatcherContract):
    @pytest.fixture
    def lab(self, tmp_path):
        lab = JenkinsLab(Gearmand(), tmp_path)
        yield lab
        lab.close()
