"""Reading a page as a browser does, as far as tests ask."""

from collections import Counter
from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects headings, pictures, all text, and every address that a page asks for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.sources: dict[str, str] = {}
        self.tags: Counter[str] = Counter()
        self.text = ""
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.tags[tag] += 1
        given = dict(attrs)
        for name in ("src", "href"):
            if name in given:
                self.sources[str(given.get("alt"))] = str(given[name])

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open in {"h1", "h2"} and data.strip():
            self.headings.append(data.strip())
