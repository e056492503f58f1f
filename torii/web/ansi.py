"""Turns the bytes of a console log into HTML: colours as classes, everything else that a terminal would obey made harmless.

The colour state (ECMA-48 "SGR") is a small value that goes in and comes out, so that a log can be shown from any place on. Sequences
that move, erase or rename are dropped, and so is every control character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from html import escape

_SEQUENCE = re.compile(
    r"\x1b\[(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b\]8;[^;\x07\x1b]*;(?P<link>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[ -/]*[0-~]"
    r"|\x1b"
)
_UNFIT = re.compile("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
"""What must not reach the page: controls, and what turns the direction of writing round (a line that reads other than it is)."""
_SAFE_LINK = re.compile(r"https?://[^\s\"'<>\x00-\x20\x7f]+", re.IGNORECASE)
_LINK_LIMIT = 2000
_PARAMETERS_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Style:
    """How text looks: `ink` and `paper` are numbers of xterm's 256 colours, None for the page's own."""

    ink: int | None = None
    paper: int | None = None
    bold: bool = False
    faint: bool = False
    italic: bool = False
    underline: bool = False
    inverse: bool = False
    strike: bool = False

    @lru_cache(maxsize=4096)  # noqa: B019  a log has few styles, and values of no weight
    def classes(self) -> str:
        """Return the CSS classes of text in this style, empty for plain text."""
        ink: object = self.ink
        paper: object = self.paper
        if self.inverse:
            ink, paper = ("p" if paper is None else paper), ("i" if ink is None else ink)
        names = [f"f{ink}"] if ink is not None else []
        if paper is not None:
            names.append(f"b{paper}")
        names += [name for name in _FLAGS if name != "inverse" and getattr(self, name)]
        return " ".join(names)

    def pack(self) -> str:
        """Return the style as a short word, to be sent along to where the text goes on."""
        flags = "".join(letter for name, letter in _FLAGS.items() if getattr(self, name))
        return f"{'' if self.ink is None else self.ink}.{'' if self.paper is None else self.paper}.{flags}"


_FLAGS = {"bold": "b", "faint": "d", "italic": "i", "underline": "u", "inverse": "n", "strike": "s"}
PLAIN = Style()


def unpack(word: str) -> Style:
    """Return the style that `Style.pack` made `word` of; the plain one for anything else."""
    match = re.fullmatch(r"([0-9]{0,3})\.([0-9]{0,3})\.([bdiuns]{0,6})", word)
    if match is None:
        return PLAIN
    ink, paper = (int(text) if text and int(text) < 256 else None for text in match.groups()[:2])
    return Style(ink, paper, **{name: letter in match[3] for name, letter in _FLAGS.items()})


def to_html(line: str, style: Style) -> tuple[str, Style]:
    """Return one line as HTML that is safe between tags, and the style in which the next line starts. A link ends with its line."""
    pieces: list[str] = []
    linked = False
    position = 0
    for match in _SEQUENCE.finditer(line):
        pieces.append(_span(line[position : match.start()], style))
        position = match.end()
        if match["final"] == "m":
            style = _select(style, match["parameters"])
        elif match["link"] is not None:
            if linked:
                pieces.append("</a>")
            opening = _opening(match["link"])
            pieces.append(opening)
            linked = bool(opening)
    pieces.append(_span(line[position:], style))
    if linked:
        pieces.append("</a>")
    return "".join(pieces), style


def style_after(text: str, style: Style = PLAIN) -> Style:
    """Return the style that is in force after `text`."""
    for match in _SEQUENCE.finditer(text):
        if match["final"] == "m":
            style = _select(style, match["parameters"])
    return style


def open_sequence(data: bytes) -> int:
    """Return how many bytes at the end of `data` are the beginning of a sequence or character that may go on after it."""
    escape_at = data.rfind(b"\x1b", max(0, len(data) - 256))
    if escape_at >= 0:
        tail = data[escape_at:].decode("latin-1")
        match = _SEQUENCE.match(tail)
        if match is None or match.group() in ("\x1b", "\x1b]", "\x1b[", "\x1bP"):
            return len(tail)
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if needed > back else 0
        if byte < 0x80:
            return 0
    return 0


def _span(text: str, style: Style) -> str:
    text = escape(_UNFIT.sub("", text))
    classes = style.classes() if text else ""
    return f'<span class="{classes}">{text}</span>' if classes else text


def _opening(link: str) -> str:
    if len(link) > _LINK_LIMIT or _SAFE_LINK.fullmatch(link) is None:
        return ""
    target = escape(_UNFIT.sub("", link))
    return f'<a href="{target}" title="{target}" target="_blank" rel="noopener noreferrer nofollow">'


@lru_cache(maxsize=4096)
def _select(style: Style, parameters: str) -> Style:
    """Return `style` after "Select Graphic Rendition" with `parameters` (ECMA-48 8.3.117; 38 and 48 as xterm has them)."""
    if parameters.startswith(("<", "=", ">", "?")):
        return style
    codes = [int(code) if code.isdigit() and len(code) < 6 else 0 for code in re.split("[;:]", parameters)[:_PARAMETERS_LIMIT]]
    while codes:
        code = codes.pop(0)
        if code in (38, 48):
            colour = _extended(codes)
            if colour is not None:
                style = replace(style, ink=colour) if code == 38 else replace(style, paper=colour)
        else:
            style = _simple(style, code)
    return style


def _simple(style: Style, code: int) -> Style:
    if code == 0:
        return PLAIN
    if code in _SWITCHES:
        return replace(style, **_SWITCHES[code])
    for first, colours in ((30, 0), (90, 8)):
        if first <= code <= first + 7:
            return replace(style, ink=code - first + colours)
        if first + 10 <= code <= first + 17:
            return replace(style, paper=code - first - 10 + colours)
    if code == 39:
        return replace(style, ink=None)
    return replace(style, paper=None) if code == 49 else style


_SWITCHES: dict[int, dict[str, bool]] = {
    1: {"bold": True},
    2: {"faint": True},
    3: {"italic": True},
    4: {"underline": True},
    7: {"inverse": True},
    9: {"strike": True},
    21: {"underline": True},
    22: {"bold": False, "faint": False},
    23: {"italic": False},
    24: {"underline": False},
    27: {"inverse": False},
    29: {"strike": False},
}


def _extended(codes: list[int]) -> int | None:
    """Take the rest of an extended colour off the front of `codes` and return the nearest of the 256 colours."""
    kind = codes.pop(0) if codes else 0
    if kind == 5 and codes:
        colour = codes.pop(0)
        return colour if colour < 256 else None
    if kind == 2 and len(codes) >= 3:
        red, green, blue = (min(codes.pop(0), 255) for _ in range(3))
        return _nearest(red, green, blue)
    return None


def _nearest(red: int, green: int, blue: int) -> int:
    """Return the number of the colour of xterm's cube, or of its greys, nearest to this one."""
    cube = [_nearest_step(value) for value in (red, green, blue)]
    grey = max(0, min(23, round(((red + green + blue) / 3 - 8) / 10)))
    far = sum((_STEPS[step] - value) ** 2 for step, value in zip(cube, (red, green, blue), strict=True))
    far_grey = sum((8 + 10 * grey - value) ** 2 for value in (red, green, blue))
    return 232 + grey if far_grey < far else 16 + 36 * cube[0] + 6 * cube[1] + cube[2]


def _nearest_step(value: int) -> int:
    return min(range(6), key=lambda step: abs(_STEPS[step] - value))


_STEPS = (0, 95, 135, 175, 215, 255)


def stylesheet() -> str:
    """Return the CSS classes of the colours 16 to 255; the first 16 are the page's own to choose."""
    rules = []
    for number in range(16, 256):
        if number < 232:
            red, rest = divmod(number - 16, 36)
            parts = [_STEPS[step] for step in (red, *divmod(rest, 6))]
        else:
            parts = [8 + 10 * (number - 232)] * 3
        colour = "#" + "".join(f"{part:02x}" for part in parts)
        rules.append(f".f{number}{{color:{colour}}}.b{number}{{background-color:{colour}}}")
    return "\n".join(rules) + "\n"
