"""`python -m benchmarks [NAME ...] [SIZE=NUMBER ...]`: run those benchmarks, or all; a size, such as `changes=5`, is a parameter of `run`.

The last line of each is one JSON object (see `benchmarks.measurement`). Exit code 1 where a target is missed.
"""

from __future__ import annotations

import inspect
import logging
import pkgutil
import sys
from collections.abc import Callable, Mapping
from importlib import import_module

import structlog

import benchmarks
from benchmarks.measurement import Measurement

NOT_BENCHMARKS = {"__main__", "measurement", "floor", "scene", "gerrit_scene", "jenkins_scene", "long_queue"}


def names() -> list[str]:
    """Return the names of all benchmarks: `gate-fail` for the module `gate_fail`."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name.replace("_", "-") for name in found if name not in NOT_BENCHMARKS and not name.startswith("_"))


def main(arguments: list[str]) -> int:
    """Run the benchmarks that `arguments` name, with the sizes they give, and return the exit code."""
    wanted = [word for word in arguments if "=" not in word]
    sizes = dict(word.split("=", 1) for word in arguments if "=" in word)
    known = names()
    if unknown := [name for name in wanted if name not in known]:
        print(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    if wrong := [f"{name}={value}" for name, value in sizes.items() if not value.isdecimal()]:
        print(f"a size is a whole number: {', '.join(wrong)}", file=sys.stderr)
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    held = True
    for name in wanted or known:
        print(f"== {name}", flush=True)
        measurement = _run(import_module(f"benchmarks.{name.replace('-', '_')}").run, sizes)
        if not measurement.held:
            print(f"missed: {measurement.target}", flush=True)
        print(measurement.line(), flush=True)
        held = held and measurement.held
    return 0 if held else 1


def _run(run: Callable[..., Measurement], sizes: Mapping[str, str]) -> Measurement:
    taken = inspect.signature(run).parameters
    return run(**{name: int(value) for name, value in sizes.items() if name in taken})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
