"""Where the files lie that Torii carries but that are no Python: the job templates and Jenkins Job Builder's macros.

In a source checkout, and so in an editable install, they stand at the top level beside this package; the wheel carries them
inside it (setup.py copies them). Nothing here reads or writes them.
"""

from __future__ import annotations

from pathlib import Path

from torii.errors import OperatorError

_PACKAGE = Path(__file__).resolve().parent


class IncompleteInstallationError(OperatorError):
    """A folder that is part of Torii is not where it was installed."""


def job_templates() -> Path:
    """The folder of Jinja2 templates that make a job of `torii.yml` Jenkins Job Builder YAML. Raises `IncompleteInstallationError`."""
    return _carried("job-templates")


def jjb() -> Path:
    """The folder of Jenkins Job Builder's macros and defaults. Raises `IncompleteInstallationError`."""
    return _carried("jjb")


def _carried(name: str) -> Path:
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise IncompleteInstallationError(
        f"the folder {name}/ is neither in {_PACKAGE / '_data'} nor in {_PACKAGE.parent}; "
        "install Torii again, with `pip install .` in its clone"
    )
