"""Console bytes become HTML that shows what a terminal would, and does nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torii.web.ansi import PLAIN, Style, open_sequence, style_after, stylesheet, to_html, unpack

ESC = "\x1b"


def html(line: str, style: Style = PLAIN) -> str:
    return to_html(line, style)[0]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain", "plain"),
        (f"{ESC}[31mred{ESC}[0m after", '<span class="f1">red</span> after'),
        (f"{ESC}[1;32mok{ESC}[22mthin", '<span class="f2 bold">ok</span><span class="f2">thin</span>'),
        (f"{ESC}[97;41mx", '<span class="f15 b1">x</span>'),
        (f"{ESC}[38;5;208mx{ESC}[39mx", '<span class="f208">x</span>x'),
        (f"{ESC}[48;5;20mx", '<span class="b20">x</span>'),
        (f"{ESC}[38;2;255;0;0mx", '<span class="f196">x</span>'),
        (f"{ESC}[38;2;120;121;120mx", '<span class="f243">x</span>'),
        (f"{ESC}[7mx", '<span class="fp bi">x</span>'),
        (f"{ESC}[31;7mx", '<span class="fp b1">x</span>'),
        (f"{ESC}[2;3;4;9mx", '<span class="faint italic underline strike">x</span>'),
        (f"{ESC}[mx", "x"),
        (f"{ESC}[38;5;999mx{ESC}[38mx{ESC}[999999999999mx", "xxx"),
        (f"{ESC}[>4;2mx{ESC}[?25lx", "xx"),
        (f"a{ESC}[2J{ESC}[10;10H{ESC}[Kb{ESC}(B{ESC}=c", "abc"),
        (f"{ESC}]0;a title\x07x{ESC}]2;t{ESC}\\y{ESC}Pq#0{ESC}\\z", "xyz"),
        (f"{ESC}]0;never ends", "0;never ends"),
        ("bell\x07 nul\x00 back\x08 del\x7f c1\x9b", "bell nul back del c1"),
        ("turn\u202eround\u2066", "turnround"),
        ("<script>alert('1')</script>&", "&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;&amp;"),
    ],
)
def test_a_line_is_shown_as_a_terminal_would(line, shown):
    assert html(line) == shown


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//example.com",
        'http://example.com/"onclick="x',
        "http://e xample",
        "http://" + "x" * 3000,
    ],
)
def test_links_that_are_no_web_pages_are_dropped(target):
    assert html(f"{ESC}]8;;{target}{ESC}\\text{ESC}]8;;{ESC}\\") == "text"


def test_links_to_web_pages_are_kept_and_tell_nothing_of_us():
    made = html(f"{ESC}]8;id=1;https://example.com/a?b&c\x07text")
    assert made == (
        '<a href="https://example.com/a?b&amp;c" title="https://example.com/a?b&amp;c" target="_blank" '
        'rel="noopener noreferrer nofollow">text</a>'
    )


def test_colours_go_on_in_the_next_line():
    first, style = to_html(f"{ESC}[1;33mwarn", PLAIN)
    second, style = to_html(f"still{ESC}[0m over", style)
    assert (first, second) == ('<span class="f3 bold">warn</span>', '<span class="f3 bold">still</span> over')
    assert style == PLAIN


@given(st.text(alphabet=st.sampled_from([ESC, "[", "]", "8", ";", "m", "3", "1", "\\", "\x07", "<", '"', "h", "é", "\u202e", "&"])))
def test_whatever_comes_in_the_tags_that_come_out_are_ours(line):
    made, style = to_html(line, PLAIN)
    parser = _Tags()
    parser.feed(made)
    parser.close()
    assert parser.open == []
    assert ESC not in made
    assert "\u202e" not in made
    assert style == style_after(line)


class _Tags(HTMLParser):
    """Knows the tags and attributes that a line may hold."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        assert {"span": {"class"}, "a": {"href", "title", "target", "rel"}}[tag] == {name for name, _ in attrs}
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


styles = st.builds(
    Style,
    st.none() | st.integers(0, 255),
    st.none() | st.integers(0, 255),
    *[st.booleans()] * 6,
)


@given(styles)
def test_a_packed_style_comes_back(style):
    assert unpack(style.pack()) == style


@pytest.mark.parametrize("word", ["", "x", "1.2", "999.1.b", "1.2.bz", '1.2."', "٣.2.b"])
def test_what_is_no_packed_style_does_no_harm(word):
    assert re.fullmatch("[a-z0-9 ]*", unpack(word).classes())


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"abc", 0),
        (b"", 0),
        (b"abc\x1b", 1),
        (b"abc\x1b[31", 4),
        (b"abc\x1b[31m", 0),
        ("é".encode()[:1], 1),
        (b"x\xe2\x82", 2),
        ("€".encode(), 0),
    ],
)
def test_a_cut_inside_of_a_sequence_or_character_is_found(data, count):
    assert open_sequence(data) == count


def test_the_style_sheet_has_every_colour():
    assert ".f16{color:#000000}.b16{background-color:#000000}" in stylesheet()
    assert ".f231{color:#ffffff}" in stylesheet()
    assert ".f255{color:#eeeeee}" in stylesheet()
