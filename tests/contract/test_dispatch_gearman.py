from __future__ import annotations

import pytest

from tests.contract.dispatcher import DispatcherContract
from tests.support.dispatch_lab import DispatchLab
from tests.support.gearman_servers import EmbeddedServer, Gearmand


class TestOnTheEmbeddedServer(DispatcherContract):
    @pytest.fixture
    def lab(self):
        lab = DispatchLab(EmbeddedServer())
        yield lab
        lab.close()


@pytest.mark.needs("gearmand")
class TestOnGearmand(DispatcherContract):
    @pytest.fixture
    def lab(self):
        lab = DispatchLab(Gearmand())
        yield lab
        lab.close()
