"""Tells which controller a word on Gearman comes from: several may be on one server, and none says its name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote, unquote, urlsplit

from torii.config.settings import JenkinsSettings
from torii.dispatch.wire import Running


class Whose:
    """Goes by the address that the build has, and by what was found out before of the same manager at the same address."""

    def __init__(self, settings: Iterable[JenkinsSettings]) -> None:
        self._settings = {each.name: each for each in settings}
        self._learnt: dict[tuple[str, str], str] = {}

    def told_by(self, running: Running, among: Sequence[str]) -> str | None:
        """Return which of `among` runs the build, None where that has to be asked: a Jenkins may go by another address than ours for it."""
        if running.url is not None:
            fit = [name for name in among if _under(running.url, self._settings[name].url)]
            if len(fit) == 1:
                return fit[0]
        if len(among) == 1:
            return among[0]
        learnt = self._learnt.get(_voice(running))
        return learnt if learnt in among else None

    def learn(self, running: Running, controller: str) -> None:
        """Remember that what says this of itself is `controller`."""
        self._learnt[_voice(running)] = controller

    def is_the_job(self, controller: str, running: Running) -> bool:
        """Whether the build's address, if it has one, is of the job that is meant: on Gearman, jobs of one name in two folders are one."""
        where = self.address(controller, running.name, running.number)
        return running.url is None or _place(running.url) == _place(where)

    def address(self, controller: str, job: str, number: int) -> str:
        """Return the address of a build, for a Jenkins that does not know its own."""
        settings = self._settings[controller]
        parts = [part for part in settings.folder.split("/") if part] + [job]
        return f"{settings.url.rstrip('/')}/{''.join(f'job/{quote(part)}/' for part in parts)}{number}/"


def _voice(running: Running) -> tuple[str, str]:
    return running.manager, (running.url or "").partition("/job/")[0]


def _place(url: str) -> str:
    return unquote(url.partition("/job/")[2].strip("/"))


def _under(url: str, base: str) -> bool:
    one, other = urlsplit(url), urlsplit(base)
    path = other.path.rstrip("/") + "/"
    return one.netloc.lower() == other.netloc.lower() and one.path.startswith(path)
