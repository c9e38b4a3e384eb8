"""What the picture of a table of confusions shows: its words, its numbers, its colours and its sizes."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from imagefeatures.learning import confusion

LABELS = ("apple", "fig $x_1$", "pear")
COUNTS = np.array([[1200, 0, 1], [0, 0, 0], [4, 2, 2]])
Draw = Callable[..., Figure]


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Draw:
    """draw(counts, labels): the figure of which the picture is made. It is not rendered: that takes seconds."""
    made: list[Figure] = []

    class Kept(Figure):
        def __init__(self, *given: object, **named: object) -> None:
            super().__init__(*given, **named)  # type: ignore[arg-type]
            made.append(self)

        def savefig(self, *given: object, **named: object) -> None:
            pass

    monkeypatch.setattr("matplotlib.figure.Figure", Kept)

    def figure(counts: np.ndarray, labels: tuple[str, ...] = LABELS) -> Figure:
        confusion.draw(counts, labels, "fruit: mlp", "accuracy 0.9")
        return made[-1]

    return figure


def parts(figure: Figure) -> tuple[Axes, Axes]:
    """The table, and the bar of its colours."""
    table, bar = figure.axes
    return table, bar


def written(table: Axes) -> list[Text]:
    """The texts in the table's fields, and the line above it."""
    return [text for text in table.texts if text.get_text()]


def test_the_table_names_labels_title_and_axes(draw: Draw) -> None:
    table, bar = parts(draw(COUNTS))
    for axis in (table.xaxis, table.yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == [*LABELS]
        assert list(axis.get_ticklocs()) == [0, 1, 2]
        assert not any(label.get_parse_math() for label in axis.get_ticklabels())
        assert {mark.get_markersize() for mark in axis.get_ticklines()} == {0}
    assert (table.get_xlabel(), table.get_ylabel()) == ("predicted", "true")
    assert table.get_title(loc="left") == "fruit: mlp"
    assert bar.get_ylabel() == "share of the true label's held-out rows"


def test_a_field_has_its_number_in_ink_that_shows_and_its_colour_is_its_rows_share(draw: Draw) -> None:
    table, _ = parts(draw(COUNTS))
    *_, last = fields = [text for text in written(table) if text.get_text() != "accuracy 0.9"]
    assert [(text.get_position(), text.get_text()) for text in fields] == [
        ((0, 0), "1,200"), ((2, 0), "1"), ((0, 2), "4"), ((1, 2), "2"), ((2, 2), "2"),
    ]  # fmt: skip
    assert [text.get_color() for text in fields] == [
        "white",
        confusion.INK,
        confusion.INK,
        confusion.INK,
        confusion.INK,
    ]
    assert (last.get_ha(), last.get_va(), last.get_fontsize()) == ("center", "center", 8)
    (image,) = table.images
    assert image.get_clim() == (0, 1)
    shares = [[1200 / 1201, 0, 1 / 1201], [0, 0, 0], [0.5, 0.25, 0.25]]
    np.testing.assert_allclose(np.asarray(image.get_array()), shares)


@pytest.mark.parametrize(("labels", "numbers"), [(30, True), (31, False)])
def test_few_labels_alone_have_their_numbers(draw: Draw, labels: int, numbers: bool) -> None:
    table, _ = parts(draw(np.eye(labels, dtype=np.int64), tuple(map(str, range(labels)))))
    assert (len(written(table)) > 1) is numbers


def test_the_line_below_the_title_says_how_many_labels_are_left_out(draw: Draw) -> None:
    counts = np.diag(np.full(41, 9))
    counts[39, 40] = counts[40, 39] = 1
    for labels, said in ((40, ""), (41, " · the 40 of 41 labels with the most errors")):
        table, _ = parts(draw(counts[:labels, :labels], tuple(map(str, range(labels)))))
        (line,) = written(table)
        assert line.get_text() == f"accuracy 0.9{said}"
    assert [label.get_text() for label in table.get_yticklabels()] == [*map(str, range(38)), "39", "40"]


def test_both_who_is_missed_and_who_is_wrongly_named_count_as_errors() -> None:
    counts = np.diag(np.arange(42) * 100)
    counts[3, 7] = 5
    counts[9, 41] = 1
    left_out = set(range(42)) - set(confusion._shown(counts).tolist())
    assert left_out == {39, 40}  # of equal labels the last ones


def test_the_picture_grows_with_its_labels(draw: Draw) -> None:
    few, more = draw(COUNTS), draw(np.eye(20, dtype=np.int64), tuple(map(str, range(20))))
    assert tuple(few.get_size_inches()) == pytest.approx((5.8, 5.6))
    assert tuple(more.get_size_inches()) == pytest.approx((0.42 * 20 + 3.8, 0.42 * 20 + 3.6))
    assert (few.dpi, to_hex(few.get_facecolor())) == (110, "#ffffff")


def test_the_file_has_the_figures_size_and_names_no_software() -> None:
    with Image.open(io.BytesIO(confusion.draw(COUNTS, LABELS, "t", "b"))) as picture:
        assert (picture.size, picture.info.get("Software")) == ((638, 616), None)


def test_letters_have_their_sizes_and_colours(draw: Draw) -> None:
    table, bar = parts(draw(COUNTS))
    (line,) = (text for text in written(table) if text.get_text() == "accuracy 0.9")
    shown = {
        "columns": (table.get_xticklabels()[0], 8.5, confusion.INK),
        "rows": (table.get_yticklabels()[0], 8.5, confusion.INK),
        "across": (table.xaxis.label, 10, confusion.FAINT),
        "down": (table.yaxis.label, 10, confusion.FAINT),
        "title": (table._left_title, 13, confusion.INK),  # type: ignore[attr-defined]
        "line": (line, 9, confusion.FAINT),
        "bar": (bar.yaxis.label, 8, confusion.FAINT),
        "shares": (bar.get_yticklabels()[0], 8, confusion.FAINT),
    }
    for text, size, colour in shown.values():
        assert (text.get_fontsize(), text.get_color()) == (size, colour)
        assert "DejaVu Sans" in text.get_fontfamily() or "sans-serif" in text.get_fontfamily()
    assert [label.get_rotation() for label in table.get_xticklabels()] == [45, 45, 45]
    assert {label.get_fontfamily()[0] for label in table.get_xticklabels()} == {"DejaVu Sans"}
    assert {to_hex(spine.get_edgecolor()) for spine in table.spines.values()} == {"#cccccc"}
    assert not line.get_parse_math()


def test_title_line_and_table_do_not_overlap(draw: Draw) -> None:
    figure = draw(COUNTS)
    figure.canvas.draw()
    table, bar = parts(figure)
    (line,) = (text for text in written(table) if text.get_text() == "accuracy 0.9")
    top = table.get_window_extent().y1
    around, title = line.get_window_extent(), table._left_title.get_window_extent()  # type: ignore[attr-defined]
    points = figure.dpi / 72
    assert around.x0 == pytest.approx(table.get_window_extent().x0, abs=2)
    assert line.get_transform().transform((0, 1))[1] == pytest.approx(top + 7 * points, abs=0.1)
    assert top < around.y0 < around.y1 < title.y0
    assert table.titleOffsetTrans.transform((0, 0))[1] == pytest.approx(22 * points)  # type: ignore[attr-defined]
    assert bar.get_window_extent().height < 0.8 * table.get_window_extent().height
    assert bar.get_window_extent().x0 - table.get_window_extent().x1 < 40
