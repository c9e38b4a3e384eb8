"""What stands where in the picture: titles, the map, the photos of each row, their names, frames and cosines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

from imagefeatures import images, picture
from imagefeatures.lettering import FAMILY, shortened
from support.demo_photos import jpeg

INK, FAINT, RIGHT, WRONG = "#1b1b1b", "#5f5f5f", "#00805c", "#c1440e"
ANGLES = [0, 10, 25, 90, 92, 60]
LABELS = ["a", "a", "b", "b", None, "a"]
LONG = "a title that is much too long for the width of its photo"


class Drawn:
    """The picture of some photos on a circle, and how it was saved."""

    def __init__(
        self, folder: Path, patch: pytest.MonkeyPatch, angles: list[int], labels: list[Any], gone: int
    ) -> None:
        uris = [f"file://{folder}/photos/{at}.jpg" for at in range(len(angles))]
        (folder / "photos").mkdir()
        for at, uri in enumerate(uris):
            if at != gone:
                Path(uri.removeprefix("file://")).write_bytes(jpeg(at))
        turns = np.radians(angles)
        features = np.column_stack([np.cos(turns), np.sin(turns)]).astype(np.float32) * 3

        def look(figure: Figure, target: Path, **options: Any) -> None:
            figure.canvas.draw()
            self.figure, self.target, self.options = figure, target, options

        patch.setattr(Figure, "savefig", look)
        picture.draw(features, labels, uris, folder / "out" / "deep" / "one.png")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Six photos with two labels; the fourth is gone."""
    images.configure_pillow()
    with pytest.MonkeyPatch.context() as patch:
        return Drawn(tmp_path_factory.mktemp("picture"), patch, ANGLES, LABELS, 3)


def rows_of(figure: Figure, first: int) -> list[list[Axes]]:
    """The axes of the photos from `first` on, row by row."""
    rows: dict[float, list[Axes]] = {}
    for axes in figure.axes[first:]:
        rows.setdefault(round(axes.get_subplotspec().get_position(figure).y0, 6), []).append(axes)  # type: ignore[union-attr]
    return list(rows.values())


def frame(axes: Axes) -> tuple[str, str, float]:
    """The title of a photo, its colour, and the width of its frame."""
    (colour,) = {to_hex(spine.get_edgecolor()) for spine in axes.spines.values()}
    (width,) = {spine.get_linewidth() for spine in axes.spines.values()}
    assert to_hex(axes.title.get_color()) == colour
    assert (axes.title.get_weight(), len(axes.get_xticks()), len(axes.get_yticks())) == ("bold", 0, 0)
    return axes.get_title(), colour, width


def test_the_picture_is_written_once_and_forgotten(drawn: Drawn) -> None:
    assert drawn.target.parts[-3:] == ("out", "deep", "one.png")
    assert drawn.target.parent.is_dir()
    assert drawn.options == {"format": "png", "pil_kwargs": {"optimize": True}}
    assert (drawn.figure.get_size_inches().tolist(), drawn.figure.dpi) == ([16, 9], 128)
    assert drawn.figure.number not in plt.get_fignums()


def test_titles_stand_above_both_halves(drawn: Drawn) -> None:
    texts = drawn.figure.texts
    assert [text.get_text() for text in texts] == [
        "6 photos as the model sees them",
        "2 numbers a photo, flattened (t-SNE) so that photos that look alike are close together",
        "Nearest neighbours by cosine",
        "of the photos in the first column. For 40% of the labelled photos the nearest has the same label",
    ]
    places = [(0.02, 0.95), (0.02, 0.918), (0.02 + 1.05 * 0.965 / 2.05, 0.95), (0.02 + 1.05 * 0.965 / 2.05, 0.918)]
    np.testing.assert_allclose([text.get_position() for text in texts], places)
    assert [text.get_fontsize() for text in texts] == [19, 11, 19, 11]
    assert [to_hex(text.get_color()) for text in texts] == [INK, FAINT, INK, FAINT]
    assert {tuple(text.get_fontfamily()) for text in texts} == {(FAMILY,)}
    assert not any(text.get_parse_math() for text in texts)


def test_the_map_has_the_left_half_without_the_room_for_its_legend(drawn: Drawn) -> None:
    half, height = 0.965 / 2.05, 0.86 / 1.125
    np.testing.assert_allclose(drawn.figure.axes[0].get_position().bounds, (0.02, 0.88 - height, half, height))
    assert sorted(text.get_text() for text in drawn.figure.axes[0].texts) == ["a", "b", "no label"]


def test_each_row_has_a_photo_and_its_nearest_in_order(drawn: Drawn) -> None:
    rows = rows_of(drawn.figure, 1)
    assert [len(row) for row in rows] == [6] * 5
    cell = 0.965 / 2.05 / (7 + 0.05 * 6)
    unit = cell * 7 / 6.12
    left = 0.02 + 1.05 * 0.965 / 2.05
    starts = [left, *(left + unit * (1.12 + at) + 0.05 * cell * (2 + at) for at in range(5))]
    tall = 0.86 / (5 + 0.24 * 4)
    for number, row in enumerate(rows):
        for axes, start in zip(row, starts, strict=True):
            where = axes.get_subplotspec().get_position(drawn.figure).bounds  # type: ignore[union-attr]
            np.testing.assert_allclose(where, (start, 0.88 - tall * (1 + 1.24 * number), unit, tall))
    first = rows[0]
    assert [frame(axes) for axes in first] == [
        ("a", INK, 1.2), ("✓ a", RIGHT, 2.2), ("✗ b", WRONG, 2.2), ("✓ a", RIGHT, 2.2), ("✗ b", WRONG, 2.2),
        ("no label", FAINT, 1.2),
    ]  # fmt: skip
    assert {frame(axes)[1:] for axes in rows[4][1:]} == {(FAINT, 1.2)}  # neighbours of one without a label
    assert [[text.get_text() for text in axes.texts] for axes in first] == [
        [], ["0.98"], ["0.91"], ["0.50"], ["gone", "0.00"], ["-0.03"],
    ]  # fmt: skip


def test_a_cosine_stands_in_the_corner_of_its_photo(drawn: Drawn) -> None:
    (text,) = rows_of(drawn.figure, 1)[0][1].texts
    assert (text.get_position(), text.get_fontsize(), text.get_color()) == ((0.94, 0.06), 8, "white")
    assert (text.get_ha(), text.get_transform()) == ("right", text.axes.transAxes)  # type: ignore[union-attr]
    patch = text.get_bbox_patch()
    assert patch is not None
    assert patch.get_facecolor() == to_rgba("black", 0.6)
    assert (patch.get_linewidth(), patch.get_boxstyle().pad) == (0, 0.2)
    assert type(patch.get_boxstyle()).__name__ == "Round"


def test_a_photo_is_shown_and_one_that_is_gone_is_a_grey_square(drawn: Drawn) -> None:
    query, nearest, *_, gone, _ = rows_of(drawn.figure, 1)[0]
    for axes in (query, nearest):
        (image,) = axes.images
        assert image.get_array().shape == (256, 256, 3)  # type: ignore[union-attr]
    assert (to_hex(gone.get_facecolor()), gone.get_box_aspect(), len(gone.images)) == ("#dddddd", 1, 0)
    text = gone.texts[0]
    assert (text.get_position(), text.get_fontsize(), text.get_color()) == ((0.5, 0.5), 9, FAINT)
    assert text.get_transform() == gone.transAxes


def test_too_few_photos_for_a_map_are_shown_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = Drawn(tmp_path, monkeypatch, [0, 10, 90, 95], ["a", "a", "a", "a"], 9).figure
    assert figure.texts[1].get_text() == "2 numbers a photo; a map needs at least 5 photos"
    wide, tall = 0.965 / 2.05 / 2.06, 0.86 / 2.12
    places = [axes.get_subplotspec().get_position(figure).bounds for axes in figure.axes[:4]]  # type: ignore[union-attr]
    upper, lower, right = 0.88 - tall, 0.02, 0.02 + 1.06 * wide
    expected = [(0.02, upper), (right, upper), (0.02, lower), (right, lower)]
    np.testing.assert_allclose(places, [(x, y, wide, tall) for x, y in expected])
    assert [frame(axes) for axes in figure.axes[:4]] == [(f"{at}.jpg", INK, 1.2) for at in range(4)]
    assert all(len(axes.images) == 1 for axes in figure.axes)
    rows = rows_of(figure, 4)
    assert [len(row) for row in rows] == [4] * 4
    assert {frame(axes)[1:] for row in rows for axes in row[1:]} == {(FAINT, 1.2)}  # one label tells nothing


def titled(title: str, width: float) -> Axes:
    """A photo of so many pixels with a title."""
    figure = plt.figure(figsize=(10, 5), dpi=100)
    axes = figure.add_axes((0.0, 0.0, width / 1000, 0.5))
    picture._frame(axes, title, INK, 1.2)
    plt.close(figure)
    return axes


def test_a_title_is_made_smaller_and_then_shorter_until_it_fits() -> None:
    free = titled(LONG, 1000)
    long = free.title.get_window_extent().width
    assert (free.get_title(), free.title.get_fontsize()) == (LONG, 8.8)
    assert free.titleOffsetTrans._t == (0.0, 4 / 72)  # type: ignore[attr-defined]
    assert titled(LONG, long / 0.96).title.get_fontsize() == 8.8
    smaller = titled(LONG, long / 0.98)
    assert (smaller.get_title(), smaller.title.get_fontsize()) == (LONG, 7.6)
    short = titled(LONG, 100)
    most = len(short.get_title())
    assert (short.get_title(), short.title.get_fontsize()) == (shortened(LONG, most), 7.6)
    assert short.title.get_window_extent().width <= 97
    short.title.set_text(shortened(LONG, most + 1))
    assert short.title.get_window_extent().width > 97
    assert titled(LONG, 2).get_title() == shortened(LONG, 4)
    assert titled("four", 2).title.get_fontsize() == 8.8


@pytest.mark.parametrize("labels", [["a", "b"], [None, "a"], ["a", "a"], [None, None]])
def test_only_two_labels_can_be_compared(labels: list[str | None]) -> None:
    none = np.zeros((2, 0), np.float32)
    photos = picture.Photos(none, labels, ["", ""], none, none)
    assert photos.comparable == (labels == ["a", "b"])
