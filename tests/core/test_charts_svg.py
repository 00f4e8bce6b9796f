"""Pictures are harmless, readable XML inside their frame, whatever the names and the numbers are."""

from xml.etree import ElementTree as ET

import pytest

from mimir_core.reasoning.charts_svg import draw_bars, draw_series
from mimir_core.reasoning.graph_svg import draw_graph, lay_out
from mimir_core.records import Chart, ChartNode

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "</title></svg><b>",
    "]]> &lt; &amp; <!-- -->",
    "\x00\x1b[31m\u202e\ufffe\r\n\t",
    "x" * 5000,
    "",
]
NUMBERS: list[tuple[float | None, ...]] = [
    (),
    (None, None),
    (3.0,),
    (7.0,) * 50,
    (0.0, 0.0),
    (-5.0, -1.0, 2.0),
    (1e12, 2e12),
    (1e6, 1e6 + 1e-3),
    (-1e300, 1e300),
    (0.0, 5e-324),
    (1.0, None, 2.0, None, None, 3.0),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text_in_every_picture(name: str) -> None:
    other = f"{name}2"
    nodes = (ChartNode(component=name, role="cause", suspicion=1), ChartNode(component=other, role="near", suspicion=0))
    pictures = [
        draw_series(Chart(kind="series", title=name, component=name, unit=name, times=(0, 1), values=(0, 1), onset=0.5)),
        draw_bars(Chart(kind="lines", title=name, component=name, unit=name, times=(0, 1), values=(1,), onset=0)),
        draw_graph(Chart(kind="calls", title=name, component=name, nodes=nodes, edges=((name, other),))),
    ]
    for picture in pictures:
        for element in ET.fromstring(picture).iter():  # noqa: S314 - our own output
            assert element.tag.rpartition("}")[2] in {"svg", "title", "desc", "g", "path", "rect", "circle", "polyline", "text"}
            assert not [key for key in element.attrib if key.startswith("on") or "href" in key]
            if element.tag.endswith("}text"):
                assert len(element.text or "") < 200 or element.get("class") == "unit"


@pytest.mark.parametrize("values", NUMBERS)
def test_any_numbers_become_a_picture_inside_its_frame(values: tuple[float | None, ...]) -> None:
    times = tuple(60.0 * minute for minute in range(len(values)))
    drawn = draw_series(Chart(kind="series", title="t", component="c", times=times, values=values, onset=30))
    assert "nan" not in drawn.lower()
    root = ET.fromstring(drawn)  # noqa: S314 - our own output
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    places = [(element.attrib["cx"], element.attrib["cy"]) for element in root.iter() if element.tag.endswith("circle")]
    for element in root.iter():
        if element.tag.endswith("polyline"):
            places += [(x, y) for x, _, y in (point.partition(",") for point in element.attrib["points"].split())]
    assert bool(places) == any(value is not None for value in values)
    assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in places)


@pytest.mark.parametrize("seconds", [0.01, 1, 59, 3600, 86400, 1e7, 1e9])
def test_a_time_axis_has_a_few_labels_at_any_scale(seconds: float) -> None:
    chart = Chart(kind="series", title="t", component="c", times=(1.7e9, 1.7e9 + seconds), values=(1, 2))
    assert 1 <= draw_series(chart).count('class="time"') <= 6


def test_callers_stand_left_of_callees_and_rings_share_a_layer() -> None:
    layers = lay_out("abcd", [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]).layers
    assert layers == [["a"], ["b", "c"], ["d"]]
