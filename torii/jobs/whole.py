"""Writes a file as a whole or not at all, for others who read it meanwhile."""

from __future__ import annotations

import tempfile
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Let `path`, in a folder that is there, say `text`. Raises OSError where it cannot, and leaves nothing behind then."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        made = Path(file.name)
        try:
            file.write(text)
            file.close()
            made.replace(path)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
