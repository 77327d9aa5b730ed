"""What a browser would make of a report's HTML, with the standard library's parser."""

import html.parser
from dataclasses import dataclass, field

VOID = {"meta", "input", "br", "link", "img", "hr"}


@dataclass
class Page(html.parser.HTMLParser):
    """Every tag with its attributes, the text per script, and each table as rows of texts."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    tables: dict[str, list[list[str]]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []
        self._table = ""
        self._spans: dict[int, tuple[int, str]] = {}
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._span = 1

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "script":
            self.scripts.append("")
        if tag == "div" and "table-block" in (given.get("class") or ""):
            self._table, self._spans = given["id"] or "", {}
            self.tables[self._table] = []
        if tag == "tr":
            self._row = []
        if tag in ("td", "th"):
            self._cell, self._span = [], int(given.get("rowspan") or 1)
            self._carry()

    def _carry(self) -> None:
        """Repeat the cells that span from rows above."""
        assert self._row is not None
        while len(self._row) in self._spans:
            left, text = self._spans.pop(len(self._row))
            if left > 1:
                self._later[len(self._row)] = (left - 1, text)
            self._row.append(text)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass
        if tag in ("td", "th") and self._cell is not None and self._row is not None:
            text = " ".join("".join(self._cell).split())
            if self._span > 1:
                self._later[len(self._row)] = (self._span - 1, text)
            self._row.append(text)
            self._cell = None
        if tag == "tr" and self._row is not None:
            self.tables[self._table].append(self._row)
            self._spans, self._row = self._later, None
            self.__dict__.pop("_later_store", None)

    @property
    def _later(self) -> dict[int, tuple[int, str]]:
        return self.__dict__.setdefault("_later_store", {})

    def handle_data(self, data: str) -> None:
        if "script" in self._open:
            self.scripts[-1] += data
        elif self._cell is not None:
            self._cell.append(data)
        if "script" not in self._open and "style" not in self._open:
            self.texts.append(data)


def read_page(text: str) -> Page:
    """The parsed page."""
    page = Page()
    page.feed(text)
    page.close()
    return page
