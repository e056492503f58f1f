"""What the names in a `torii.yml` refer to: who needs whom, which cells a name stands for, and what of that cannot be.

It reads the document and not the checked model, so that a wrong name is found also in a file that is wrong elsewhere.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from torii.config.document import Document, Listing, Mapping, Node, Path, Scalar
from torii.config.matrix import Cells, MatrixError, cells
from torii.config.wording import did_you_mean, shown
from torii.model.job import ConfigProblem

MAX_JOBS = 1000
"""Jobs of a file, matrix cells written out."""
MAX_REFERENCES = 20_000
"""Names of jobs in needs and pipelines, matrix cells written out."""
_MAX_STEPS = 200_000
"""How many needs are followed through pipelines: far more than any real file has."""
_MAX_FOUND = 1000
"""Problems that are looked for: more than will be told."""
_MAX_COMPARED = 500
"""How many names are compared with wrong ones, to suggest a right one."""


@dataclass(frozen=True, slots=True)
class Edge:
    """`job` (as the file names it) refers to `target` at `path`."""

    job: str
    target: str
    path: Path
    soft: bool


class Names:
    """The jobs of a document: `cells` by job, and the job that each cell belongs to."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.cells: dict[str, Cells] = {}
        self.owner: dict[str, str] = {}
        self.problems: list[ConfigProblem] = []
        self._unknown_cells: list[str] = []
        self._compared = 0
        self.jobs = _entries(document.root, "jobs")
        room = MAX_JOBS
        for job, node in self.jobs.items():
            room -= self._add(job, node, room)
        self._refuse_clashes()
        self.edges = tuple(self._edges())

    def _add(self, job: str, node: Node, room: int) -> int:
        """Write out the cells of `job`, `room` at most, and return how many there are."""
        axes = _entries(node, "matrix")
        matrix = {axis: tuple(item.text for _, item in _items(values) if isinstance(item, Scalar)) for axis, values in axes.items()}
        matrix = {axis: values for axis, values in matrix.items() if values}
        self.cells[job] = {}
        try:
            if room < math.prod(map(len, matrix.values())):
                raise MatrixError(f"more than {MAX_JOBS} jobs in one file, matrix cells counted")
            self.cells[job] = cells(job, matrix)
        except MatrixError as error:
            self.problems.append(self.document.problem(("jobs", job, "matrix"), str(error), key=True))
            self._unknown_cells.append(f"{job}-")
        return len(self.cells[job])

    def _refuse_clashes(self) -> None:
        """Jenkins takes `Unit` and `unit` for one name, so that case does not tell jobs apart."""
        seen: dict[str, tuple[str, str]] = {}
        for job, made in self.cells.items():
            for name in {job: None, **dict.fromkeys(made)}:
                other = seen.setdefault(name.lower(), (job, name))
                self.owner.setdefault(name, job)
                if other != (job, name):
                    of = f" (a cell of {shown(other[0])})" if other[1] != other[0] else ""
                    message = f"the job name {shown(name)} is taken by {shown(other[1])}{of}"
                    hint = "names must differ in more than upper and lower case" if other[1] != name else ""
                    self.problems.append(self.document.problem(("jobs", job), message, hint, key=True))

    def _edges(self) -> Iterator[Edge]:
        for job, node in self.jobs.items():
            needs = node.entries.get("needs") if isinstance(node, Mapping) else None
            for index, item in _items(needs[1] if needs else None):
                path: Path = ("jobs", job, "needs") if index is None else ("jobs", job, "needs", index)
                if isinstance(item, Mapping) and isinstance(wanted := _value(item, "job"), Scalar):
                    soft = _value(item, "soft")
                    yield Edge(job, wanted.text, (*path, "job"), isinstance(soft, Scalar) and soft.text.lower() == "true")
                elif isinstance(item, Scalar) and not item.empty:
                    yield Edge(job, item.text, path, False)

    def resolve(self, name: str) -> tuple[str, ...]:
        """Return the cells that `name`, of a job or of one cell, stands for."""
        if name in self.cells:
            return tuple(self.cells[name])
        return (name,) if name in self.owner else ()

    def check(self) -> tuple[ConfigProblem, ...]:
        """Return every name that names nothing, every name given twice, and every circle."""
        needs: dict[str, list[tuple[str, Path]]] = {}
        for edge in self.edges:
            needs.setdefault(edge.job, []).append((edge.target, edge.path))
        pipelines: list[list[tuple[str, Path]]] = [
            [
                (item.text, ("pipelines", pipeline) if index is None else ("pipelines", pipeline, index))
                for index, item in _items(node)
                if isinstance(item, Scalar) and not item.empty
            ]
            for pipeline, node in _entries(self.document.root, "pipelines").items()
        ]
        references = sum(len(self.cells[edge.job]) * len(self.cells.get(edge.target, "1")) for edge in self.edges)
        references += sum(len(self.cells.get(name, "1")) for wanted in pipelines for name, _ in wanted)
        if references > MAX_REFERENCES:
            message = f"{references} needs and pipeline entries, matrix cells counted; {MAX_REFERENCES} are the most"
            return (*self.problems, self.document.problem(("jobs",), message, key=True))
        found = itertools.chain(
            (problem for wanted in (*needs.values(), *pipelines) for problem in self._names(wanted)),
            self._circles(),
            self._missing(pipelines),
        )
        return (*self.problems, *itertools.islice(found, _MAX_FOUND))

    def _names(self, wanted: list[tuple[str, Path]]) -> Iterator[ConfigProblem]:
        given: set[str] = set()
        for name, path in wanted:
            if name not in self.owner:
                if not name.startswith(tuple(self._unknown_cells)):
                    yield self.document.problem(path, f"there is no job {shown(name)}", self._near(name))
                continue
            made = self.resolve(name)
            twice = next((cell for cell in made if cell in given), None)
            if twice is not None:
                yield self.document.problem(path, f"{shown(twice)} is named twice here", "keep one")
            given.update(made)

    def _near(self, name: str) -> str:
        self._compared += len(self.owner)
        return did_you_mean(name, self.owner) if self._compared <= _MAX_COMPARED else ""

    def _missing(self, pipelines: list[list[tuple[str, Path]]]) -> Iterator[ConfigProblem]:
        """A job of a pipeline that waits for one outside of it would never start."""
        hard: dict[str, list[str]] = {}
        for edge in self.edges:
            if not edge.soft and edge.target in self.owner:
                hard.setdefault(edge.job, []).append(edge.target)
        steps = 0
        for wanted in pipelines:
            there = {cell for name, _ in wanted for cell in self.resolve(name)}
            for name, path in {name: (name, path) for name, path in reversed(wanted)}.values():
                for target in hard.get(self.owner.get(name, ""), ()):
                    made = self.resolve(target)
                    steps += len(made)
                    if steps > _MAX_STEPS:
                        yield self.document.problem(("pipelines",), "too many pipelines with too many needs", key=True)
                        return
                    if not there.issuperset(made):
                        message = f"{shown(name)} needs {shown(target)}, which this pipeline does not run"
                        yield self.document.problem(path, message, f"add {shown(target)}, or make it a soft need")

    def _circles(self) -> Iterator[ConfigProblem]:
        """Walk depth first, with a stack of our own: a chain of needs may be longer than Python likes to recurse."""
        edges: dict[str, list[Edge]] = {job: [] for job in self.jobs}
        for edge in self.edges:
            if edge.target in self.owner:
                edges[edge.job].append(edge)
        done: set[str] = set()
        for start in edges:
            trail: list[str] = []
            on_trail: set[str] = set()
            todo: list[tuple[str, Iterator[Edge]]] = []
            if start not in done:
                todo.append((start, iter(edges[start])))
                trail.append(start)
                on_trail.add(start)
            while todo:
                job, rest = todo[-1]
                step = next(rest, None)
                if step is None:
                    todo.pop()
                    done.add(trail.pop())
                    on_trail.discard(job)
                    continue
                target = self.owner[step.target]
                if target in on_trail:
                    circle = [*trail[trail.index(target) :], target]
                    drawn = circle if len(circle) <= 12 else [*circle[:6], "...", *circle[-5:]]
                    said = f"{shown(job)} needs itself" if len(circle) == 2 else f"a circle: {' -> '.join(drawn)}"
                    yield self.document.problem(step.path, said, "remove one of these needs")
                elif target not in done:
                    todo.append((target, iter(edges[target])))
                    trail.append(target)
                    on_trail.add(target)


def _value(node: Node | None, key: str) -> Node | None:
    return node.entries[key][1] if isinstance(node, Mapping) and key in node.entries else None


def _entries(node: Node | None, key: str) -> dict[str, Node]:
    found = _value(node, key)
    return {name: value for name, (_, value) in found.entries.items()} if isinstance(found, Mapping) else {}


def _items(node: Node | None) -> Iterator[tuple[int | None, Node]]:
    """Yield the items of a list, or the one value that stands for a list of one, each with its index."""
    if isinstance(node, Listing):
        yield from enumerate(node.items)
    elif node is not None:
        yield None, node
