"""The picture of the screen that the README shows: an SVG made from a real moment of a real demo."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console, Group

from torii.demo.screen import Scene, lines
from torii.demo.snapshot import Snapshot
from torii.errors import OperatorError

WIDTH, HEIGHT = 100, 28
_TITLE = "torii demo"

# rich's own frame without the font that it would fetch from another site: a picture in a README may fetch nothing.
_FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, "Fira Code", "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font-family: system-ui, sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def export(snapshot: Snapshot, scene: Scene, file: Path) -> None:
    """Write what the screen showed at `snapshot` to `file`. Raises OperatorError where that cannot be written."""
    console = Console(
        record=True, width=WIDTH, height=HEIGHT, file=io.StringIO(), force_terminal=True, color_system="truecolor", no_color=False
    )
    console.print(Group(*lines(snapshot, scene, WIDTH, HEIGHT)))
    text = console.export_svg(title=_TITLE, unique_id="torii-demo", code_format=_FORMAT)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"the picture cannot be written to {file}: {error.strerror or error}") from error
