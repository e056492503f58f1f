"""Whatever is to be said, Gerrit is sent no more than it takes, with the key as the last line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from torii.sources.gerrit.review import compose_message, cut, key_line, units

TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.text("a🎉\n ", max_size=3000)


@given(TEXT, st.lists(TEXT, max_size=3), st.text(max_size=300), st.integers(600, 2000))
def test_a_message_fits_and_ends_with_its_key(text: str, remarks: list[str], key: str, limit: int) -> None:
    line = key_line(key)
    message = compose_message(text, remarks, line, limit)
    assert units(message) <= limit
    assert message.rpartition("\n")[2] == line


@given(TEXT, st.integers(200, 2000))
def test_what_is_cut_begins_as_it_did(text: str, limit: int) -> None:
    kept = cut(text, limit)
    assert units(kept) <= limit
    assert kept == text or text.strip().startswith(kept.partition("\n")[0].strip()[:50])
