"""What a step of the gate costs in a long queue and in a short one, with the same window in both.

The steps are those of a queue that moves: a change joins, builds start and end, the head is merged, the next is staged, reports are
answered. Counted is what the gate does in `step`, and in `drain` for the rows. Collecting garbage is Python's affair and switched off.
"""

from __future__ import annotations

import gc
import time
from statistics import median

from benchmarks.long_queue import LongQueue
from benchmarks.measurement import Measurement
from torii.gate import Gate
from torii.model.command import Command
from torii.model.event import Event
from torii.model.view import Records

SHORT = 100
LONG = 10_000
TURNS = 150
TARGET = 2.0


class TimedGate(Gate):
    """Adds up the seconds that its steps take."""

    seconds = 0.0
    steps = 0

    def step(self, event: Event, now: float) -> list[Command]:
        began = time.perf_counter()
        commands = super().step(event, now)
        self.seconds += time.perf_counter() - began
        self.steps += 1
        return commands

    def drain(self) -> Records:
        began = time.perf_counter()
        records = super().drain()
        self.seconds += time.perf_counter() - began
        return records


def run(short: int = SHORT, long: int = LONG, turns: int = TURNS) -> Measurement:
    """Measure, and return microseconds a step (the median of the turns) in the long queue. The queues take turns."""
    queues = [LongQueue(short), LongQueue(long)]
    gates = [_timed(queue) for queue in queues]
    times: list[list[float]] = [[], []]
    gc.collect()
    gc.disable()
    try:
        for _ in range(turns):
            for queue, gate, taken in zip(queues, gates, times, strict=True):
                gate.seconds, gate.steps = 0.0, 0
                queue.turn()
                taken.append(gate.seconds / gate.steps)
    finally:
        gc.enable()
    floor, figure = (1_000_000 * median(taken) for taken in times)
    lengths = [len(gate.state.items) for gate in gates]
    assert lengths == [short, long], f"the queues did not keep their lengths: {lengths}"
    print(f"a step takes {floor:.0f} us with {short} items in the queue, {figure:.0f} us with {long}")
    ratio = figure / floor
    return Measurement("step", figure, "us", floor, ratio, f"at most {TARGET}x of one in a queue of {short}", ratio <= TARGET)


def _timed(queue: LongQueue) -> TimedGate:
    gate = queue.lab.gate = TimedGate(queue.lab.gate.state)
    return gate
