from __future__ import annotations

import pytest

from tests.contract.source import SourceContract
from tests.support.git_lab import GitLab
from tests.support.git_servers import serving


class TestByPath(SourceContract):
    @pytest.fixture
    def lab(self, tmp_path):
        with serving("file", tmp_path) as server:
            lab = GitLab(server, tmp_path)
            yield lab
            lab.close()


@pytest.mark.needs("sshd", "ssh", "ssh-keygen")
class TestOverSsh(SourceContract):
    @pytest.fixture
    def lab(self, tmp_path):
        with serving("ssh", tmp_path) as server:
            lab = GitLab(server, tmp_path)
            yield lab
            lab.close()


class TestOverHttp(SourceContract):
    @pytest.fixture
    def lab(self, tmp_path):
        with serving("http", tmp_path, user="torii", password="not a real one") as server:
            lab = GitLab(server, tmp_path)
            yield lab
            lab.close()
