"""The import contract of Torii: each package names what it may import, and whatever it does not name it may not.

import-linter's own contracts forbid what they list; a list of what is allowed also holds for the package that somebody adds
next year. The table is in `.importlinter`; `lint-imports` at the top level checks it, and so does a unit test.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ROOT = "torii"


@dataclass(frozen=True, slots=True)
class Breach:
    """One import that no line of the table allows."""

    importer: str
    imported: str
    line: int | None


class MayImport(Contract):
    """`package` imports nothing of Torii but itself and `allowed`; other people's code only where `third_party` is true."""

    type_name = "may_import"

    package = fields.StringField()
    allowed = fields.SetField(subfield=fields.StringField(), required=False, default=frozenset())
    third_party = fields.BooleanField(required=False, default=True)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        package = cast("str", self.package)
        allowed = {package, *cast("frozenset[str]", self.allowed)}
        breaches = [
            Breach(importer, imported, _line(graph, importer, imported))
            for importer in sorted(module for module in graph.modules if _inside(module, package))
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not self._may(imported, allowed)
        ]
        return ContractCheck(kept=not breaches, metadata={"breaches": breaches})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for breach in check.metadata["breaches"]:
            output.print_error(f"{breach.importer}:{breach.line or '?'} imports {breach.imported}, which {self.package} may not")

    def _may(self, imported: str, allowed: set[str]) -> bool:
        if imported == ROOT:  # for `from torii import __version__`: there is nothing else in it
            return bool(self.third_party)
        if _inside(imported, ROOT):
            return any(_inside(imported, name) for name in allowed)
        return bool(self.third_party) or imported.partition(".")[0] in sys.stdlib_module_names


def _inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def _line(graph: ImportGraph, importer: str, imported: str) -> int | None:
    details = graph.get_import_details(importer=importer, imported=imported)
    return details[0]["line_number"] if details else None
