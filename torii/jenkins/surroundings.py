"""What a check-up of a Jenkins is told by others: what is wanted of it, and who has come to the Gearman server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torii.jenkins.values import Job


@dataclass(frozen=True, slots=True)
class PluginNeed:
    """A plug-in that Torii uses for `what`; `without` it says what Torii does then. Nothing works without one that is `required`."""

    plugin: str
    what: str
    without: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class WantedLabels:
    """Each label (empty: any node) with the jobs that want it, as `job of project, branch`; `unread` says what was not read, and why."""

    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the projects of a Jenkins want, and its Gearman. What takes time to find out is found out when it is asked for.

    `gearman` are the addresses of the Gearman servers as users write them, `loopback` whether only this machine reaches them; `workers`
    returns the functions of each client by its id, and raises OperatorError. `ours` tells whether this Torii made a job. `pages` is where
    links lead to Torii's pages, empty where that is not known.
    """

    workers: Callable[[], Mapping[str, frozenset[str]]]
    wanted: Callable[[], WantedLabels] = WantedLabels
    ours: Callable[[Job], bool] = lambda _: False
    plugins: tuple[PluginNeed, ...] = ()
    gearman: str = ""
    loopback: bool = False
    pages: str = ""
