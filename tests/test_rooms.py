"""The picture of the rooms in docs/architecture.md: true to the code, and legible."""

import importlib.util
import re
from itertools import combinations, pairwise
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
PICTURE = (ROOT / "docs" / "images" / "rooms.svg").read_text(encoding="utf-8")
SVG = "{http://www.w3.org/2000/svg}"
Point = tuple[float, float]


class Box(NamedTuple):
    """A box of the picture, and the name in it."""

    name: str
    x: float
    y: float
    wide: float
    tall: float

    def holds(self, point: Point) -> bool:
        """Whether a point lies inside, more than a pixel from the edge."""
        return (
            self.x + 1 < point[0] < self.x + self.wide - 1
            and self.y + 1 < point[1] < self.y + self.tall - 1
        )


@pytest.fixture(scope="module")
def draw_rooms() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_rooms", ROOT / "scripts" / "draw_rooms.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def boxes() -> list[Box]:
    tree = ElementTree.fromstring(PICTURE)
    rooms = [one for one in tree.iter(f"{SVG}rect") if one.get("class") in ("room", "base")]
    names = [one.text or "" for one in tree.iter(f"{SVG}text") if one.get("class") == "name"]
    sides = ("x", "y", "width", "height")
    return [
        Box(name, *(float(room.get(side, "")) for side in sides))
        for name, room in zip(names, rooms, strict=True)
    ]


def arrows() -> list[list[Point]]:
    """The points that each arrow passes, twenty for each of its curves."""
    return [
        passed(one.get("d", ""))
        for one in ElementTree.fromstring(PICTURE).iter(f"{SVG}path")
        if one.get("class") == "arrow"
    ]


def passed(path: str) -> list[Point]:
    numbers = [float(one) for one in re.findall(r"-?[\d.]+", path)]
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    found = points[:1]
    for at in range(0, len(points) - 1, 3):
        corners = points[at : at + 4]
        for step in range(1, 21):
            t = step / 20
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            x, y = (sum(w * c[i] for w, c in zip(weights, corners, strict=True)) for i in (0, 1))
            found.append((x, y))
    return found


def test_it_shows_the_code_as_it_is(draw_rooms: ModuleType) -> None:
    assert draw_rooms.is_current(PICTURE, draw_rooms.picture()), "run scripts/draw_rooms.py"


def test_another_arrow_or_size_makes_it_stale_and_a_few_lines_do_not(
    draw_rooms: ModuleType,
) -> None:
    assert draw_rooms.is_current(PICTURE, PICTURE.replace("1,200 lines", "1,300 lines"))
    assert not draw_rooms.is_current(PICTURE, re.sub(r" \d,\d00 lines", " 9,900 lines", PICTURE))
    arrow = next(line for line in PICTURE.splitlines() if 'class="arrow"' in line)
    assert not draw_rooms.is_current(PICTURE, PICTURE.replace(arrow + "\n", ""))
    assert not draw_rooms.is_current(PICTURE, PICTURE.replace(">scorers<", ">judges<"))


def test_each_room_has_one_box_and_one_line_in_the_table(draw_rooms: ModuleType) -> None:
    rooms = draw_rooms.contract()
    assert sorted(box.name for box in boxes()) == sorted(rooms)
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page[page.index("| room |") : page.index("Inside `methods`")]
    first_cells = " ".join(line.split("|")[1] for line in table.splitlines() if "|" in line)
    assert sorted(re.findall(r"`(\w+)`", first_cells)) == sorted(rooms)


def test_boxes_stand_apart_and_hold_their_names() -> None:
    for one, other in combinations(boxes(), 2):
        beside = one.x + one.wide < other.x or other.x + other.wide < one.x
        assert beside or one.y + one.tall < other.y or other.y + other.tall < one.y
    for box in boxes():
        assert len(box.name) * 9.2 < box.wide  # the mean width of a bold letter of 15 pixels


def test_every_arrow_leads_down_and_through_no_box() -> None:
    assert len(arrows()) > 10
    for points in arrows():
        assert all(y <= z for (_, y), (_, z) in pairwise(points))
        assert not [box.name for box in boxes() if any(map(box.holds, points))]


def test_it_names_no_day_and_no_machine(draw_rooms: ModuleType) -> None:
    assert draw_rooms.picture() == draw_rooms.picture()
    assert not re.search(r"20\d\d-|/home|/root|/tmp", PICTURE)
