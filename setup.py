"""Everything is said in pyproject.toml but one thing: job-templates/ and jjb/ stand at the top level and travel inside the wheel."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
CARRIED = ("job-templates", "jjb")  # torii/resources.py finds them again, here and in the wheel


class BuildWithJobTemplates(build_py):
    """Copies the carried folders to torii/_data. An editable install needs no copy: it reads them where they stand."""

    def run(self) -> None:
        if not self.editable_mode:
            # A build/ left from an earlier version would otherwise put files into the wheel that are no more.
            shutil.rmtree(Path(self.build_lib, "torii"), ignore_errors=True)
        super().run()
        if not self.editable_mode:
            for source in self._carried():
                target = Path(self.build_lib, "torii", "_data", source)
                self.mkpath(str(target.parent))
                self.copy_file(source, str(target))

    def get_source_files(self) -> list[str]:
        """What a source distribution must hold: these files too."""
        return [*super().get_source_files(), *self._carried()]

    def _carried(self) -> list[str]:
        found = (path for folder in CARRIED for path in sorted((HERE / folder).rglob("*")))
        return [str(path.relative_to(HERE)) for path in found if path.is_file() and "__pycache__" not in path.parts]


setup(cmdclass={"build_py": BuildWithJobTemplates})
