"""The map of the picture: every point is drawn, in the colour of its label, and names hide little."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.offsetbox import AnnotationBbox

from imagefeatures import scatter
from imagefeatures.lettering import shortened

LONG = "a label that goes on and on and on"


@pytest.fixture
def axes() -> Axes:
    figure = Figure(figsize=(10, 8), dpi=100)
    FigureCanvasAgg(figure)
    with matplotlib.rc_context({"axes.xmargin": 0.3, "axes.ymargin": 0.3}):  # as somebody's own settings may have it
        return figure.add_axes((0.0, 0.2, 1.0, 0.8))


def cloud(count: int, x: float, y: float) -> np.ndarray:
    return np.array([x, y]) + np.random.default_rng(0).random((count, 2))


def check_points(drawn: Any, points: np.ndarray, style: tuple[str, str]) -> None:
    colour, marker = style
    np.testing.assert_array_equal(drawn.get_offsets(), points)
    assert (drawn.get_sizes().tolist(), drawn.get_linewidths().tolist(), drawn.get_alpha()) == ([28], [0.3], 0.85)
    assert drawn.get_facecolor().tolist() == [list(to_rgba(colour, 0.85))]
    assert drawn.get_edgecolor().tolist() == [list(to_rgba("white", 0.85))]
    shape = MarkerStyle(marker)
    path = shape.get_path().transformed(shape.get_transform())
    np.testing.assert_array_equal(drawn.get_paths()[0].vertices, path.vertices)


def test_the_most_frequent_labels_have_a_style_each_and_the_others_are_grey(axes: Axes) -> None:
    names = [f"label {number:02d}" for number in range(14)]
    labels = np.array([*names * 2, "rare", "rare too"])
    points = cloud(30, 0, 0) * 100
    scatter.draw_map(axes, points, labels)
    rest, *named = axes.collections
    check_points(rest, points[28:], scatter.REST)
    assert len(named) == len(scatter.STYLES) == 14
    for name, drawn, style in zip(names, named, scatter.STYLES, strict=True):
        check_points(drawn, points[labels == name], style)
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [" other labels  2", *(f" {name}  2" for name in names)]
    assert legend._ncols == 4  # type: ignore[attr-defined]
    assert not axes.axison
    assert axes.margins() == (0.05, 0.05)
    assert sorted(text.get_text() for text in axes.texts) == names
    for text, (colour, _) in zip(axes.texts, scatter.STYLES, strict=True):
        assert text.get_color() == pytest.approx(np.array(to_rgb(colour)) * 0.72)
        assert (text.get_fontsize(), text.get_weight(), text.get_zorder()) == (11.5, "bold", 5)
        (stroke,) = text.get_path_effects()  # type: ignore[attr-defined]
        assert stroke._gc == {"linewidth": 3.5, "foreground": "white"}


@pytest.mark.parametrize(
    ("name", "entry", "size"),
    [
        ("fifteen letters", " fifteen letters  100", 10.5),
        ("sixteen letters.", " sixteen letters.  100", 8.5),
        (LONG, f" {shortened(LONG, 19)}  100", 8.5),
    ],
)
def test_the_legend_stands_below_the_map_with_smaller_letters_where_an_entry_is_long(
    axes: Axes, name: str, entry: str, size: float
) -> None:
    scatter.draw_map(axes, cloud(100, 0, 0), np.array([name] * 100))
    legend = axes.get_legend()
    assert legend is not None
    (text,) = legend.get_texts()
    assert (text.get_text(), text.get_fontsize()) == (entry, size)
    assert (len(axes.texts), legend.get_frame_on()) == (0, False)
    spaces = legend.handletextpad, legend.columnspacing, legend.labelspacing, legend.markerscale, legend.borderaxespad
    assert spaces == (0.1, 1.2, 0.45, 1.5, 0.2)
    corner = legend.get_bbox_to_anchor().transformed(axes.transAxes.inverted()).min
    np.testing.assert_allclose(corner, [0, 0], atol=1e-9)


def test_each_name_is_beside_its_own_points_and_over_no_other_name(axes: Axes) -> None:
    points = np.concatenate([cloud(20, 0, 0), cloud(20, 100, 0), cloud(20, 100, 0)])
    labels = np.repeat(["left", LONG, "right"], 20)
    scatter.draw_map(axes, points, labels)
    axes.figure.canvas.draw()
    by_name = {text.get_text(): text for text in axes.texts}
    assert list(by_name) == [shortened(LONG, 22), "left", "right"]
    for text in axes.texts:
        own = points[0] if text.get_text() == "left" else points[20]
        apart = axes.transData.transform(text.get_position()) - axes.transData.transform(own)
        assert np.linalg.norm(apart) < 200
        assert (text.get_ha(), text.get_va()) == ("center", "center")
    one, other = (by_name[name].get_window_extent() for name in (shortened(LONG, 22), "right"))
    assert not one.overlaps(other)
    width, height = scatter._size(axes.texts[0])
    assert (width, height) == (one.width + 6, one.height + 6)


def test_each_of_two_names_is_beside_its_own_points(axes: Axes) -> None:
    points = np.concatenate([cloud(5, 0, 0), cloud(5, 1000, 1000)])
    scatter.draw_map(axes, points, np.repeat(["near", "far"], 5))
    axes.figure.canvas.draw()
    assert [text.get_text() for text in axes.texts] == ["far", "near"]
    for text, own in zip(axes.texts, (points[5], points[0]), strict=True):
        apart = axes.transData.transform(text.get_position()) - axes.transData.transform(own)
        assert np.linalg.norm(apart) < 100


def test_photos_stand_where_there_is_room_and_a_point_is_under_each(axes: Axes) -> None:
    points = np.random.default_rng(1).random((200, 2)) * 5000
    asked: list[int] = []

    def pixels_of(index: int) -> np.ndarray | None:
        asked.append(index)
        return None if index == 0 else np.zeros((29, 40, 3), np.uint8)

    scatter.draw_photos(axes, points, pixels_of)
    (dots,) = axes.collections
    check_points(dots, points, scatter.REST)
    axes.figure.canvas.draw()
    assert asked == scatter.apart(axes.transData.transform(points), 58)
    photos = [artist for artist in axes.artists if isinstance(artist, AnnotationBbox)]
    np.testing.assert_array_equal([photo.xy for photo in photos], points[asked[1:]])
    for photo in photos:
        assert photo.offsetbox.get_zoom() == pytest.approx(2 * 72 / 100)
        assert (photo.patch.get_boxstyle().pad, photo.patch.get_visible()) == (0, False)
    assert (axes.axison, axes.margins()) == (False, (0.05, 0.05))


SIZE, BOUNDS = np.array([40.0, 20.0]), np.array([0.0, 0.0, 800.0, 600.0])


def centres(*own: tuple[float, float]) -> np.ndarray:
    boxes = np.array([box for box, _ in scatter._candidates(SIZE, np.array(own, float), BOUNDS)])
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], np.tile(SIZE, (len(boxes), 1)))
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def test_places_for_a_name_lie_on_circles_around_its_densest_point() -> None:
    own = [(400, 400), (100, 100), (150, 100), (200, 100)]
    radii = [radius for _, radius in scatter._candidates(SIZE, np.array(own, float), BOUNDS)]
    assert radii == np.repeat(np.arange(0, 200, 8), 24).tolist()
    found = centres(*own)
    np.testing.assert_allclose(found[:24], [[150, 100]] * 24)
    np.testing.assert_allclose(found[[24, 30, 36, 42]], [[158, 100], [150, 108], [142, 100], [150, 92]])
    np.testing.assert_allclose(found[24 + 2], [150 + 8 * np.cos(np.pi / 6), 104])
    np.testing.assert_allclose(centres((400, 400), (100, 100), (160, 100), (220, 100))[0], [400, 400])


def test_no_place_is_beyond_the_edge_of_the_map() -> None:
    np.testing.assert_allclose(centres((0, 0))[0], [20, 10])
    np.testing.assert_allclose(centres((800, 600))[0], [780, 590])


@pytest.mark.parametrize(
    ("own", "others", "taken", "cost"),
    [
        ([], [], [], 2),
        ([(5, 5), (6, 6), (50, 50), (60, 60)], [], [], 2 + 20 + 2),  # half of its own
        ([(5, 5), *[(50, 50)] * 79], [], [], 1 + 0.5 + 2),  # one of eighty
        ([(5, 5)], [], [], 1 + 40 + 2),  # all of its own
        ([(0, 5), (10, 5), (5, 0), (5, 10)], [], [], 2),  # on its edge
        ([], [(5, 5), (-10, 5), (5, 20), (30, 5)], [], 2 + 3 + 3),
        ([], [(-13.5, 5), (5, -13.5), (23.5, 5), (5, 23.5)], [], 6),
        ([], [(-14.5, 5), (5, -14.5), (24.5, 5), (5, 24.5)], [], 2),
        ([], [], [(9, 9, 20, 20)], 1002),
        ([], [], [(50, 50, 60, 60), (-5, -5, 1, 1), (2, 2, 3, 3)], 1002),
        ([], [], [(10, 0, 20, 10), (0, 10, 10, 20), (-10, 0, 0, 10), (0, -10, 10, 0)], 2),  # they touch
        ([], [], [(20, 0, 30, 10), (0, 20, 10, 30), (-30, 0, -20, 10), (0, -30, 10, -20)], 2),
    ],
)
def test_a_place_costs_what_it_hides_and_how_far_it_is(
    own: list[Any], others: list[Any], taken: list[Any], cost: float
) -> None:
    points = [np.array(some, float).reshape(-1, 2) for some in (own, others)]
    box = np.array([0.0, 0.0, 10.0, 10.0])
    assert scatter._cost((box, 8), *points, [np.array(other, float) for other in taken]) == cost


def test_points_on_the_edge_of_a_box_are_not_in_it() -> None:
    points = np.array([[25.0, 5], [5, 25], [30, 5], [0, 5], [5, 10], [5, 0], [-1, 5], [5, -1], [29, 9]])
    assert scatter._inside(points, np.array([0.0, 0, 30, 10])) == 2


def test_squares_that_touch_do_not_overlap() -> None:
    places = np.array([[0.0, 0.0], [5, 5], [10, 0], [-10, 0], [0, 9], [0, 10]])
    assert scatter.apart(places, 10) == [0, 2, 3, 5]
    assert scatter.apart(places[:0], 10) == []
