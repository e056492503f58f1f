"""A real Gerrit to test with, on loopback: fetched as jars with Maven, initialised once for a machine, booted in seconds from a copy.

with GerritSite(tmp_path / "gerrit") as gerrit:
    project = gerrit.create_project("demo")
    change = project.push_change({"hello.txt": "hello\\n"}, "Say hello")
    change.approve()
"""

from torii.testing.gerrit.accounts import Account, Rest
from torii.testing.gerrit.change import LabChange
from torii.testing.gerrit.errors import LabError, PartMissingError, RefusedError
from torii.testing.gerrit.project import LabProject
from torii.testing.gerrit.recipe import Provision
from torii.testing.gerrit.site import NEWEST, OLDEST, GerritSite, Setup
from torii.testing.gerrit.workbench import Draft, PushRefusedError

__all__ = [
    "NEWEST",
    "OLDEST",
    "Account",
    "Draft",
    "GerritSite",
    "LabChange",
    "LabError",
    "LabProject",
    "PartMissingError",
    "Provision",
    "PushRefusedError",
    "RefusedError",
    "Rest",
    "Setup",
]
