"""Which jobs this worker knows, and the Gearman functions it offers for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from torii.gearman import Job as Request
from torii.gearman import Worker
from torii.gearman.functions import build_function
from torii.worker.jobxml import Job
from torii.worker.labels import atoms, matches

Perform = Callable[[str, Request], None]
"""Runs the build that a request asks for, of the job of that name."""


class Offers:
    """Keeps every one of `executors` offering the same functions: `build:<job>`, and `build:<job>:<label>` for each label the job names."""

    def __init__(self, labels: Sequence[str], executors: Sequence[Worker], perform: Perform) -> None:
        self.labels = frozenset(labels)
        self._executors = tuple(executors)
        self._perform = perform
        self._jobs: dict[str, Job] = {}
        self._functions: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def job(self, name: str) -> Job | None:
        """Return the job called `name` as it was last defined."""
        return self._jobs.get(name)

    def define(self, job: Job) -> tuple[str, ...]:
        """Offer `job` in place of what it was before, if this worker has its labels; return the functions that are offered for it now.

        Raises ValueError for a name or label that cannot be offered.
        """
        functions: tuple[str, ...] = ()
        if matches(job.label, self.labels) and not job.disabled:
            functions = (build_function(job.name, None), *(build_function(job.name, atom) for atom in atoms(job.label, self.labels)))
        with self._lock:
            self._jobs[job.name] = job
            self._change(job.name, functions)
        return functions

    def remove(self, name: str) -> None:
        """Offer the job no more. A build of it that runs goes on."""
        with self._lock:
            self._jobs.pop(name, None)
            self._change(name, ())

    def _change(self, name: str, functions: tuple[str, ...]) -> None:
        before = self._functions.pop(name, ())
        if functions:
            self._functions[name] = functions
        for executor in self._executors:
            for gone in set(before) - set(functions):
                executor.unregister(gone)
            for function in functions:
                executor.register(function, partial(self._perform, name))
