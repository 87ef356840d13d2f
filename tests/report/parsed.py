"""A page taken apart with the parser of the standard library: its elements, and the words a reader sees at first."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "input", "link"}
UNSEEN = {"script", "style", "title", "noscript", "option"}


@dataclass
class Element:
    tag: str
    attributes: dict
    inside: tuple = ()
    text: list = field(default_factory=list)

    @property
    def said(self):
        return " ".join("".join(self.text).split())

    def within(self, tag):
        return any(outer.tag == tag for outer in self.inside)


class Page(HTMLParser):
    """Every element in order, each with those around it and all the text inside it."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.seen = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {[element.tag for element in self.open]}"

    def handle_starttag(self, tag, attributes):
        element = Element(tag, dict(attributes), tuple(self.open))
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        for element in self.open:
            element.text.append(data)
        if not self._hidden():
            self.seen.append(data)

    def _hidden(self):
        tags = [element.tag for element in self.open]
        folded = "details" in tags and "summary" not in tags
        return folded or bool(UNSEEN & set(tags)) or any("hidden" in element.attributes for element in self.open)

    def all(self, tag):
        return [element for element in self.elements if element.tag == tag]

    @property
    def words(self):
        """Words seen before anything is opened; those in the charts are the browser's to count."""
        return "".join(self.seen).split()
