"""A page parsed: its elements, whether they nest, and its text by element."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

EVIL = "<img src=x onerror=alert(1)>"
VOID = {"meta", "img", "input", "br", "link", "hr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parent: Element | None
    children: list[Element] = field(default_factory=list)
    content: list[Element | str] = field(default_factory=list)

    @property
    def raw(self) -> str:
        """All text within, in its order."""
        return "".join(part if isinstance(part, str) else part.raw for part in self.content)

    @property
    def text(self) -> str:
        """The same with single spaces."""
        return " ".join(self.raw.split())

    @property
    def classes(self) -> set[str]:
        return set(self.attributes.get("class", "").split())

    def all(self, tag: str = "", kind: str = "") -> list[Element]:
        """Every element below with this tag and class."""
        found = []
        for child in self.children:
            if (not tag or child.tag == tag) and (not kind or kind in child.classes):
                found.append(child)
            found += child.all(tag, kind)
        return found


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element("", {}, None)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute of {tag} twice"
        element = Element(tag, {name: value or "" for name, value in attrs}, self.at)
        self.at.children.append(element)
        self.at.content.append(element)
        if tag not in VOID:
            self.at = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self.at)
        self.at.children.append(element)
        self.at.content.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.at.tag == tag, f"</{tag}> ends <{self.at.tag}>"
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        self.at.content.append(data)


def parse(text: str) -> Element:
    """The page as a tree; fails where elements do not nest."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert parser.at is parser.root, f"<{parser.at.tag}> has no end"
    return parser.root


def section(page: Element, name: str) -> Element:
    """The element with this id."""
    (found,) = [element for element in page.all() if element.attributes.get("id") == name]
    return found
