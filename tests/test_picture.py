"""The picture of the dashboard is up to date, and shows the data that it gets."""

import re
from xml.etree import ElementTree

from processes import ROOT

from picture.dashboard import Line, Place, Widget
from picture.drawing import draw, number_text, runs, tick_step

SVG = "{http://www.w3.org/2000/svg}"
MAX_BYTES = 60_000


def texts(svg: str) -> list[str]:
    """Return the texts of an SVG."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def picture_texts() -> list[str]:
    """Return the texts of the picture in the documentation."""
    return texts((ROOT / "docs" / "dashboard.svg").read_text(encoding="utf-8"))


def test_picture_has_every_widget() -> None:
    """After a change of a widget's title, somebody draws the picture again. A reader loads it fast."""
    source = (ROOT / "terraform" / "dashboard.tf").read_text(encoding="utf-8")
    titles = re.findall(r'^ +title += "(.*)"$|^    "(\d+\. .*)" = \{$', source, re.M)
    assert len(titles) == 10
    assert {first or second for first, second in titles} <= set(picture_texts()), "run `make dashboard-picture`"
    assert (ROOT / "docs" / "dashboard.svg").stat().st_size < MAX_BYTES


def test_chart_shows_its_data() -> None:
    """A chart has its title, the labels of its lines and caps, and its axes, also with characters that XML needs."""
    widget = Widget("a < b", Place(0, 0, 12, 6), 0, 600, [Line("c & d", {0: 5, 60: 9}), Line("none")], {"cap": 18})
    svg = draw([widget])
    assert texts(svg) == ["a < b", "0", "5", "10", "15", "20", "00:00", "00:05", "00:10", "c & d", "none", "cap"]
    assert len(re.findall(r'<path stroke="#\w+" d="M[\d. ]+L[\d. ]+"/>', svg)) == 1


def test_line_ends_where_a_minute_has_no_data() -> None:
    """A missing value is no zero."""
    assert runs(Line("a", {0: 1, 60: 2, 180: 3})) == [[(0, 1), (60, 2)], [(180, 3)]]


def test_axis_has_round_numbers() -> None:
    """An axis has at most four steps of 1, 2 or 5 times a power of ten."""
    assert [tick_step(top) for top in (1, 4, 5, 18, 65, 100, 3600)] == [0.5, 1, 2, 5, 20, 50, 1000]
    assert [number_text(value) for value in (0, 0.5, 500, 1500, 2e6)] == ["0", "0.5", "500", "1.5k", "2M"]
