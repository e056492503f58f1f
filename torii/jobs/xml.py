"""The XML of jobs: written the same way each time, and compared by what it says."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from torii.jobs.definition import MARK

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_DECLARATION = re.compile(rb"\A\s*<\?xml[^>]*\?>")
_CONTROL = re.compile(rb"&#(?:x0*(?:[0-8bcef]|1[0-9a-f])|0*(?:[0-8]|1[124-9]|2[0-9]|3[01]));", re.IGNORECASE)
"""References to characters that XML 1.1 can hold and 1.0 cannot."""
_CONTEXT = 2
_MANAGED = "<!-- Managed by Jenkins Job Builder -->"
"""What its own `update` adds to a description."""


def serialise(root: Element) -> bytes:
    """Return `root` as a document in UTF-8. Only white space between elements is added; carriage returns are kept."""
    ElementTree.indent(root)
    data: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return data.replace(b"\r", b"&#13;") + b"\n"


def parse(xml: bytes) -> Element | None:
    """Return the root of a document, None where it is none (or one that tries to be clever). Jenkins' own declares XML 1.1."""
    try:
        # expat knows XML 1.0 only; what 1.1 allows beyond it no job of ours holds, but somebody may have typed it. It is UTF-8 in any case.
        root: Element = fromstring(_CONTROL.sub("\ufffd".encode(), _DECLARATION.sub(b"", xml)), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None
    return root


def same(one: bytes, other: bytes) -> bool:
    """Whether two documents say the same, however they are laid out and whichever version of a plug-in Jenkins noted in them.

    A job that Jenkins says is not disabled is as one that leaves it out, and one that Jenkins Job Builder claims as one that it does not.
    """
    return one == other or list(_lines(one)) == list(_lines(other))


def difference(old: bytes, new: bytes, name: str) -> str:
    """Return a unified diff of two documents, element by element; empty where they say the same. Torii's mark is left out."""
    before, after = list(_lines(old, marks=False)), list(_lines(new, marks=False))
    lines = difflib.unified_diff(before, after, f"{name} (in Jenkins)", f"{name} (from torii.yml)", lineterm="", n=_CONTEXT)
    return "".join(f"{line}\n" for line in lines)


def _lines(xml: bytes, *, marks: bool = True) -> Iterator[str]:
    root = parse(xml)
    if root is None:
        yield from xml.decode("utf-8", "replace").splitlines()
        return
    if (description := root.find("description")) is not None:
        text = (description.text or "").replace(_MANAGED, "")
        description.text = text if marks else MARK.sub("", text)
    for disabled in [each for each in root.findall("disabled") if (each.text or "").strip() == "false"]:
        root.remove(disabled)
    yield from _element(root, "")


def _element(element: Element, indent: str) -> Iterator[str]:
    attributes = "".join(f' {name}="{value}"' for name, value in sorted(element.attrib.items()) if name != "plugin")
    children = list(element)
    if children:
        yield f"{indent}<{element.tag}{attributes}>"
        for child in children:
            yield from _element(child, f"{indent}  ")
        yield f"{indent}</{element.tag}>"
        return
    first, *more = (element.text or "").split("\n")
    if not more:
        yield f"{indent}<{element.tag}{attributes}>{first}</{element.tag}>"
        return
    yield f"{indent}<{element.tag}{attributes}>{first}"
    yield from more[:-1]
    yield f"{more[-1]}</{element.tag}>"
