"""Draw docs/images/rooms.svg: the rooms of the package and which imports which.

    python scripts/draw_rooms.py           draws it
    python scripts/draw_rooms.py --check   exit code 1 where it no longer shows the code

A room is a package or a module directly under `detoxlab`. It stands above all that it imports, late
imports counted, and an arrow that follows from others is left out. The rooms below `data` in the
contract of `pyproject.toml` are the foundation, which every room may import: they have no arrows.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "detoxlab"
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
LOWEST_DRAWN = "data"

BOX, LANE, GAP = 150, 20, 24  # widths, in pixels: a room, an arrow that passes a level, between
HEIGHT, RISE, MARGIN = 50, 62, 24  # of a box; between two levels; around everything
SMALL, SMALL_HEIGHT, IN_ROW = 132, 42, 6  # boxes of the foundation
SWEEPS = 12
SIZE_DRIFT = 0.25  # sizes may be off by so much before the picture counts as stale

Graph = Mapping[str, set[str]]
Node = str | tuple[str, str, int]  # a room, or where the arrow from room to room passes a level


# --- what the code says ---


@dataclass(frozen=True)
class Room:
    """A package or module: its files and their lines."""

    files: Sequence[Path]

    @property
    def size(self) -> str:
        """Files, where there are several, and lines, rounded."""
        lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in self.files)
        rounded = f"{round(lines, -1 if lines < 1000 else -2):,} lines"
        return f"{len(self.files)} files · {rounded}" if len(self.files) > 1 else rounded


def contract() -> list[str]:
    """The rooms from the top down, as the contract of layers has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    return [layer.removeprefix("detoxlab.") for layer in layers]


def rooms() -> dict[str, Room]:
    """All rooms of the package by name."""
    files: dict[str, list[Path]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        files.setdefault(path.relative_to(SOURCE).parts[0].removesuffix(".py"), []).append(path)
    return {name: Room(paths) for name, paths in files.items() if not name.startswith("__")}


def imported(path: Path) -> Iterator[str]:
    """The names of the rooms that a file imports anywhere, but for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("detoxlab."))


def imports(all_rooms: Mapping[str, Room]) -> dict[str, set[str]]:
    """By room, the rooms that it imports."""
    return {
        name: {one for path in room.files for one in imported(path)} & set(all_rooms) - {name}
        for name, room in all_rooms.items()
    }


def reduced(graph: Graph) -> dict[str, set[str]]:
    """The graph without the arrows that follow from others.

    >>> reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()})
    {'a': {'b'}, 'b': {'c'}, 'c': set()}
    """

    def below(room: str) -> set[str]:
        return graph[room].union(*map(below, graph[room]))

    return {room: near - set().union(*map(below, near)) for room, near in graph.items()}


def levels(graph: Graph) -> dict[str, int]:
    """By room, the longest way down from it; 0 for one that imports none.

    >>> levels({"a": {"b", "c"}, "b": {"c"}, "c": set()})
    {'a': 2, 'b': 1, 'c': 0}
    """

    def level(room: str) -> int:
        return 1 + max(map(level, graph[room]), default=-1)

    return {room: level(room) for room in graph}


# --- where things stand ---


class Layout:
    """Rooms in rows, the highest level first, with lanes for the arrows that pass a row."""

    def __init__(self, graph: Graph) -> None:
        level = levels(graph)
        top = max(level.values())
        self.rows: list[list[Node]] = [[] for _ in range(top + 1)]
        for room in graph:
            self.rows[top - level[room]].append(room)
        self.ways: list[list[Node]] = []
        for room, near in graph.items():
            for other in sorted(near, key=list(graph).index):
                passed = range(top - level[room] + 1, top - level[other])
                lanes: list[Node] = [(room, other, row) for row in passed]
                for row, lane in zip(passed, lanes, strict=True):
                    self.rows[row].append(lane)
                self.ways.append([room, *lanes, other])
        self.x: dict[Node, float] = {}
        for _ in range(SWEEPS):
            self._order()
        for _ in range(SWEEPS):
            self._align()
        self.y = {
            node: MARGIN + at * (HEIGHT + RISE) for at, row in enumerate(self.rows) for node in row
        }
        left = min(self.x[node] - width(node) / 2 for node in self.x)
        self.x = {node: x - left + MARGIN for node, x in self.x.items()}

    def near(self, node: Node) -> list[Node]:
        """What the arrows through a node lead to, one row up or down."""
        return [
            way[at + step]
            for way in self.ways
            if node in way
            for at in [way.index(node)]
            for step in (-1, 1)
            if 0 <= at + step < len(way)
        ]

    def _order(self) -> None:
        """Sort each row by the places of its neighbours."""
        for row in [*self.rows, *reversed(self.rows)]:
            place = {node: at / len(one) for one in self.rows for at, node in enumerate(one)}
            row.sort(key=lambda node: fmean([place[one] for one in self.near(node)] or [0.5]))

    def _align(self) -> None:
        """Move each node towards its neighbours, as far as those beside it let it."""
        for row in [*self.rows, *reversed(self.rows)]:
            present = [self.x.get(node, at * BOX) for at, node in enumerate(row)]
            wanted = [
                fmean([self.x[one] for one in self.near(node) if one in self.x] or [x])
                for node, x in zip(row, present, strict=True)
            ]
            placed: list[float] = []
            for at, x in enumerate(wanted):
                least = placed[-1] + apart(row[at - 1], row[at]) if placed else x
                placed.append(max(x, least))
            shift = fmean([x - y for x, y in zip(wanted, placed, strict=True)])
            self.x |= {node: x + shift for node, x in zip(row, placed, strict=True)}


def width(node: Node) -> int:
    """How much room a node takes in its row."""
    return BOX if isinstance(node, str) else LANE


def apart(left: Node, right: Node) -> float:
    """The least distance between the middles of two neighbours in a row."""
    return (width(left) + width(right)) / 2 + GAP


# --- what is drawn ---


STYLE = """
text { font-family: system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; text-anchor: middle; }
.name { font-size: 15px; font-weight: 600; fill: #17263c; }
rect.base + .name { font-size: 13px; }
.size { font-size: 11px; fill: #4d5d73; }
.note { font-size: 13px; fill: #4d5d73; }
.room { fill: #e8f0fb; stroke: #35609c; stroke-width: 1.3; }
.base { fill: #f4efe3; stroke: #96824f; stroke-width: 1.1; }
.band { fill: #fbf9f4; stroke: #d9cfb6; }
.arrow { fill: none; stroke: #5b6f8c; stroke-width: 1.3; }
"""
HEAD = (
    '<marker id="head" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" '
    'orient="auto"><path d="M0,0.5 L8,4 L0,7.5 Z" fill="#5b6f8c"/></marker>'
)


def picture() -> str:
    """The whole drawing as SVG text."""
    all_rooms, order = rooms(), contract()
    if missing := set(all_rooms) - set(order):
        raise SystemExit(f"pyproject.toml: no layer for {', '.join(sorted(missing))}")
    end = order.index(LOWEST_DRAWN) + 1
    drawn, base = order[:end], order[end:]
    found = imports(all_rooms)
    layout = Layout(reduced({room: found[room] & set(drawn) for room in drawn}))
    right = max(layout.x[node] + width(node) / 2 for node in layout.x)
    wide = round(max(right, MARGIN + IN_ROW * (SMALL + 12))) + MARGIN
    bottom = MARGIN + len(layout.rows) * (HEIGHT + RISE) - RISE / 2
    foundation, high = foundation_of(base, all_rooms, bottom, wide)
    parts = [
        *arrows(layout),
        *(box(layout.x[r], layout.y[r], BOX, HEIGHT, r, all_rooms[r].size, "room") for r in drawn),
        *foundation,
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" '
        f'height="{high}" role="img">\n<title>The rooms of detoxlab and their imports</title>\n'
        f"<defs><style>{STYLE}</style>{HEAD}</defs>\n"
        f'<rect width="{wide}" height="{high}" rx="10" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def arrows(layout: Layout) -> Iterator[str]:
    """One path per import, from the lower edge of a box to the upper edge of another."""
    for way in layout.ways:
        points = []
        for at, node in enumerate(way):
            x, y = layout.x[node], layout.y[node]
            if at == 0:
                points.append((port(layout, way, 0), y + HEIGHT))
            elif at == len(way) - 1:
                points.append((port(layout, way, -1), y))
            else:
                points += [(x, y), (x, y + HEIGHT)]
        path = f"M{points[0][0]:.0f},{points[0][1]:.0f}"
        for (x0, y0), (x1, y1) in pairwise(points):
            bend = (y1 - y0) / 2
            path += f" C{x0:.0f},{y0 + bend:.0f} {x1:.0f},{y1 - bend:.0f} {x1:.0f},{y1:.0f}"
        yield f'<path class="arrow" marker-end="url(#head)" d="{path}"/>'


def port(layout: Layout, way: Sequence[Node], end: int) -> float:
    """Where an arrow leaves (`end` 0) or meets (-1) its box: beside others, in their order."""
    inner = 1 if end == 0 else -2
    same = sorted(
        (one for one in layout.ways if one[end] == way[end]), key=lambda one: layout.x[one[inner]]
    )
    at = next(at for at, one in enumerate(same) if one is way)
    return layout.x[way[end]] + (at - (len(same) - 1) / 2) * min(26, (BOX - 30) / len(same))


def foundation_of(
    names: Sequence[str], all_rooms: Mapping[str, Room], top: float, wide: int
) -> tuple[list[str], int]:
    """The band at the bottom with its boxes, and where the picture ends."""
    rows = [names[at : at + IN_ROW] for at in range(0, len(names), IN_ROW)]
    tall = 34 + len(rows) * (SMALL_HEIGHT + 12) + 6
    parts = [
        f'<rect class="band" x="{MARGIN / 2:.0f}" y="{top:.0f}" width="{wide - MARGIN}" '
        f'height="{tall}" rx="8"/>',
        f'<text class="note" x="{wide / 2:.0f}" y="{top + 21:.0f}">'
        "the foundation, which every room may import</text>",
    ]
    for line, row in enumerate(rows):
        for at, name in enumerate(row):
            x = wide / 2 + (at - (len(row) - 1) / 2) * (SMALL + 12)
            y = top + 34 + line * (SMALL_HEIGHT + 12)
            parts.append(box(x, y, SMALL, SMALL_HEIGHT, name, all_rooms[name].size, "base"))
    return parts, round(top + tall + MARGIN / 2)


def box(x: float, y: float, wide: int, tall: int, name: str, size: str, kind: str) -> str:
    """A box around the middle x with the name of a room and its size."""
    return (
        f'<rect class="{kind}" x="{x - wide / 2:.0f}" y="{y:.0f}" width="{wide}" height="{tall}" '
        f'rx="6"/><text class="name" x="{x:.0f}" y="{y + tall / 2 - 3:.0f}">{escape(name)}</text>'
        f'<text class="size" x="{x:.0f}" y="{y + tall / 2 + 14:.0f}">{size}</text>'
    )


# --- is it still true ---

SIZE = re.compile(r'(<text class="size"[^>]*>)([^<]*)')


def is_current(drawn: str, found: str) -> bool:
    """Whether a drawing shows the rooms, their arrows and about their sizes.

    Sizes change with every commit: they may be off by a quarter.
    """
    sizes = [[numbers(text) for _, text in SIZE.findall(one)] for one in (drawn, found)]
    same = SIZE.sub(r"\1", drawn) == SIZE.sub(r"\1", found)
    return same and all(map(close, *sizes))


def numbers(text: str) -> list[int]:
    """The numbers in a text.

    >>> numbers("12 files · 1,300 lines")
    [12, 1300]
    """
    return [int(one.replace(",", "")) for one in re.findall(r"[\d,]+", text)]


def close(drawn: Sequence[int], found: Sequence[int]) -> bool:
    """Whether two sizes tell about the same."""
    return len(drawn) == len(found) and all(
        abs(a - b) <= max(SIZE_DRIFT * b, 20 if b > 20 else 2)
        for a, b in zip(drawn, found, strict=True)
    )


def main() -> int:
    """Draw the picture, or check it."""
    found = picture()
    if "--check" in sys.argv:
        if is_current(PICTURE.read_text(encoding="utf-8"), found):
            return 0
        print("docs/images/rooms.svg: run scripts/draw_rooms.py")
        return 1
    PICTURE.write_text(found, encoding="utf-8")
    print("docs/images/rooms.svg: drawn")
    return 0


if __name__ == "__main__":
    sys.exit(main())
