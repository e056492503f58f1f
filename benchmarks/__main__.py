"""`python -m benchmarks [NAME ...]`: run those benchmarks, or all.

The last line of each is one JSON object (see `benchmarks.measurement`). Exit code 1 where a target is missed.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module

import benchmarks

NOT_BENCHMARKS = {"__main__", "measurement"}


def names() -> list[str]:
    """Return the names of all benchmarks: `gate-fail` for the module `gate_fail`."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name.replace("_", "-") for name in found if name not in NOT_BENCHMARKS and not name.startswith("_"))


def main(wanted: list[str]) -> int:
    """Run the benchmarks `wanted` and return the exit code."""
    known = names()
    if unknown := [name for name in wanted if name not in known]:
        print(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    held = True
    for name in wanted or known:
        print(f"== {name}", flush=True)
        measurement = import_module(f"benchmarks.{name.replace('-', '_')}").run()
        if not measurement.held:
            print(f"missed: {measurement.target}", flush=True)
        print(measurement.line(), flush=True)
        held = held and measurement.held
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
