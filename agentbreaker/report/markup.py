"""A tiny builder of HTML and SVG in which text is text: what is not built here is escaped.

Attributes, addresses, classes and ids only ever hold words of our own; a value that looks otherwise is a defect of the
caller and raises.  So what an agent wrote has one way into a page, :func:`escaped`, and arrives there as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from agentbreaker.printable import printable

__all__ = ["Child", "Markup", "el", "escaped", "join", "lines_of", "said", "spoken"]


class Markup(str):
    """Text that is markup already, because this module built it."""

    __slots__ = ()


#: What may stand in an element: text, markup, several of them, or nothing.
Child: TypeAlias = "str | Markup | Iterable[Child] | None"

_ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
_LAYOUT: Final = "article bdi body br div footer h1 h2 h3 h4 header main nav p pre section span"
_WORDS: Final = "a code dd details dl dt ins li ol strong summary ul"
_TABLES: Final = "caption table tbody td th thead tr"
_DRAWINGS: Final = "desc g line path polygon polyline rect svg text title"
_NAMES: Final = frozenset(f"{_LAYOUT} {_WORDS} {_TABLES} {_DRAWINGS}".split())
_VOID: Final = frozenset({"br"})
_ATTRIBUTE: Final = re.compile(r"(?!on|style$|src)[a-zA-Z][a-zA-Z0-9-]*")
_VALUE: Final = re.compile(r"[A-Za-z0-9 _.,:#%()/+-]*")
_PLACE: Final = re.compile(r"#[a-z][a-z0-9-]*")
_RIGHT: Final = "\\u0590-\\u08ff\\ufb1d-\\ufdff\\ufe70-\\ufefc\\U00010800-\\U00010fff\\U0001e800-\\U0001efff"
#: Writing that reads from the right, with what is between its words as long as it has no direction of its own.
_FROM_RIGHT: Final = re.compile(f"[{_RIGHT}](?:[{_RIGHT} .'_-]*[{_RIGHT}])?")
_HAN: Final = re.compile("[\\u4e00-\\u9fff]")
_NOT_CHINESE: Final = re.compile("[\\u3040-\\u30ff\\uac00-\\ud7af]")


def escaped(text: str, limit: int = 400) -> Markup:
    r"""Return text as markup that shows it: the only way in for what others wrote.

    Control characters, marks that turn the direction of reading and what cannot be seen become visible.

    Args:
        text: The text.
        limit: Characters that are shown at most; an ellipsis stands for the others.

    >>> print(escaped("<b>a & b</b>\x00\u202e"))
    &lt;b&gt;a &amp; b&lt;/b&gt;\x00\u202e
    """
    return Markup(printable(text, limit=limit).translate(_ENTITIES))


def el(tag: str, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Return an element.

    Args:
        tag: Its name.
        children: What stands in it; plain strings are escaped.
        attributes: ``cls`` is written ``class``, an underscore as a hyphen; ``None`` and ``False`` leave one out.

    Raises:
        ValueError: A name or a value that is not one of ours.

    >>> print(el("p", "a < b", el("br"), cls="note"), el("a", "there", href="#incident-3"))
    <p class="note">a &lt; b<br></p> <a href="#incident-3">there</a>
    """
    if tag not in _NAMES:
        raise ValueError(f"not an element of a report: {tag!r}")
    head = "".join(_attribute(name, value) for name, value in attributes.items() if value is not None)
    if tag in _VOID:
        return Markup(f"<{tag}{head}>")
    return Markup(f"<{tag}{head}>{join(*children)}</{tag}>")


def _attribute(name: str, value: str | float | bool | None) -> str:
    written = "class" if name == "cls" else name.rstrip("_").replace("_", "-")
    if not _ATTRIBUTE.fullmatch(written):
        raise ValueError(f"not an attribute of a report: {name!r}")
    if isinstance(value, bool):
        return f" {written}" if value else ""
    text = f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
    if not _VALUE.fullmatch(text) or (written == "href" and not _PLACE.fullmatch(text)):
        raise ValueError(f"not a value that a report may give to {name!r}")
    return f' {written}="{text}"'


def join(*children: Child) -> Markup:
    """Return children one after the other."""
    return Markup("".join(_flat(children)))


def _isolated(text: str) -> str:
    """Keep names that read from the right, in a sentence of ours, from turning what stands beside them."""
    return _FROM_RIGHT.sub("\u2067\\g<0>\u2069", text)


def _flat(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            yield child
        elif isinstance(child, str):
            yield _isolated(escaped(child, limit=4000))
        else:
            yield from _flat(child)


def spoken(text: str) -> str | None:
    """Return the language to break and pronounce a text in, where its writing tells: ``"zh"`` or ``None``."""
    return "zh" if _HAN.search(text) and not _NOT_CHINESE.search(text) else None


def said(text: str, limit: int = 120, cls: str | None = None) -> Markup:
    """Return a name or some words of others, apart from the text around it whichever way it reads.

    >>> print(said("规划者"), said(""))
    <bdi lang="zh">规划者</bdi> <bdi class="none">(empty)</bdi>
    """
    if not text:
        return el("bdi", "(empty)", cls="none")
    return el("bdi", escaped(text, limit), cls=cls, lang=spoken(text[:limit]))


def lines_of(text: str, most: int = 200) -> Markup:
    """Return text with its line ends, for a place that keeps them."""
    return Markup("\n".join(escaped(line) for line in text.split("\n", most)[:most]))
