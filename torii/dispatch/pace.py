"""How patient the dispatcher is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient the dispatcher is, in seconds.

    `busy` and `idle` lie between looks at the servers while a build waits and while none does; `burst` at least, however many begin
    to wait. `grace` passes before a build counts as stalled. A definition unused for `keep` is withdrawn; one used within `fresh` is
    brought to a new worker unasked. After a lost connection workers get `settle` to come back before anybody is asked for a build,
    and the one that ran it `patience`.

    Of Jenkins: `watch` lies between looks at builds that Gearman tells nothing of, `recheck` between looks at a job whose function does
    not appear, `retry` (at first; then up to ten times as much) between attempts where a controller is away. A change's own job is
    removed when it was unused for `keep_copy`, which is looked after every `tidy`.
    """

    busy: float = 1.0
    idle: float = 5.0
    burst: float = 0.05
    grace: float = 1.0
    keep: float = 3600.0
    fresh: float = 600.0
    settle: float = 2.5
    patience: float = 10.0
    watch: float = 2.0
    recheck: float = 5.0
    retry: float = 1.5
    keep_copy: float = 600.0
    tidy: float = 60.0
