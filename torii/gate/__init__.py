"""The gate: all of the scheduling logic, as a pure function of events. No clock, socket, thread, random number or file is touched here.

`Gate.step(event, now)` returns the commands that follow; `state` is what it remembers, `intake` decides who may enter, `line` who is tested
on top of whom, `jobgraph` which builds that takes, and `conclusion` what is reported, merged or sent away.
"""

from torii.gate.gate import SNAPSHOT_FORMAT, Gate

__all__ = ["SNAPSHOT_FORMAT", "Gate"]
