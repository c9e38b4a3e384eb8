"""How the picture looks: all of it can be seen and read, with few and many photos, long names and other scripts."""

from __future__ import annotations

import sys
import types
import warnings
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox
from matplotlib.text import Text
from matplotlib.transforms import Bbox, BboxBase

from imagefeatures import images, picture
from support.demo_photos import jpeg

LONG = "a name that is much longer than its photo"
OF_STIX = "\u0359"
"""A letter that matplotlib's own fonts have, and its first font lacks."""


def figure_of(folder: Path, labels: list[str | None], names: list[str]) -> Figure:
    """The picture of photos with these names, as it is saved. Photos of one label are much alike."""
    rng = np.random.default_rng(0)
    uris = [f"file://{folder}/{name}" for name in names]
    for at, name in enumerate(names):
        (folder / name).write_bytes(jpeg(at))
    groups = {label: group for group, label in enumerate(dict.fromkeys(labels))}
    centres = rng.random((len(groups), 32))
    features = np.array([centres[groups[label]] for label in labels]) + rng.random((len(labels), 32)) / 4
    drawn: list[Figure] = []

    def look(figure: Figure, *_: Any, **__: Any) -> None:
        figure.canvas.draw()
        drawn.append(figure)

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of letters that no font has
        patch.setattr(Figure, "savefig", look)
        picture.draw(features.astype(np.float32), labels, uris, folder / "never.png")
    return drawn[0]


def numbered(count: int, name: str = "IMG") -> list[str]:
    return [f"{name} {at:03d}.jpg" for at in range(count)]


MIXED = ("תפוחים", "تفاحة", "$a_b$", "\\frac12", LONG, None)
SETS: dict[str, tuple[list[str | None], list[str]]] = {
    "one": ([None], ["$x^2$.jpg"]),
    "four with long names": ([None] * 4, numbered(4, LONG)),
    "five of two labels": (["cat", "dog", "cat", "dog", "dog"], numbered(5)),
    "thirty of fifteen long labels": ([f"{LONG} {at % 15}" for at in range(30)], numbered(30)),
    "twenty without labels": ([None] * 20, numbered(20, LONG)),
    "signs, other scripts and none": ([*(label for label in MIXED for _ in "abc")], numbered(18)),
}


@dataclass
class Look:
    """A drawn picture. written: its texts beside the photos, and their places. photos: the places of the photos.

    on_photos: the texts in photos, and the photo of each.
    """

    figure: Figure
    written: list[tuple[Text, Bbox]]
    on_photos: list[tuple[Text, Bbox]]
    photos: list[Bbox]

    @property
    def map(self) -> Axes:
        return self.figure.axes[0]

    @property
    def names(self) -> list[Text]:
        """The labels among the points of the map."""
        return list(self.map.texts) if self.map.collections else []


def place(artist: Any) -> Bbox:
    found: Bbox = artist.get_window_extent()
    return found


@pytest.fixture(scope="module", params=SETS)
def look(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Look:
    images.configure_pillow()
    figure = figure_of(tmp_path_factory.mktemp("looks"), *SETS[request.param])
    written, on_photos, photos = list(figure.texts), [], []
    for axes in figure.axes:
        legend = axes.get_legend()
        written += [axes.title, *(legend.get_texts() if legend else [])]
        photos += [place(found.offsetbox) for found in axes.findobj(AnnotationBbox)]
        if axes.images:
            photos.append(place(axes.images[0]))
            on_photos += [(text, photos[-1]) for text in axes.texts]
        else:
            written += axes.texts
    return Look(figure, [(text, place(text)) for text in written if text.get_text()], on_photos, photos)


def points_of(look: Look) -> list[np.ndarray]:
    """The points of the map in pixels, those of each colour."""
    return [look.map.transData.transform(points.get_offsets()) for points in look.map.collections]


def holds(outer: BboxBase, inner: BboxBase) -> bool:
    return outer.x0 <= inner.x0 and outer.y0 <= inner.y0 and inner.x1 <= outer.x1 and inner.y1 <= outer.y1


def test_all_texts_and_photos_lie_in_the_picture_each_in_its_half(look: Look) -> None:
    middle = place(look.figure.texts[2]).x0
    for box in [*(box for _, box in look.written), *look.photos]:
        assert holds(look.figure.bbox, box)
        assert box.x1 < middle - 5 or box.x0 >= middle - 5


def test_the_legend_stands_below_all_points_with_an_entry_for_each_colour(look: Look) -> None:
    if (legend := look.map.get_legend()) is None:
        return
    assert place(legend).y1 < min(look.map.transData.transform(points)[:, 1].min() for points in points_of(look))
    assert len(legend.get_texts()) == len(points_of(look)) <= 15


def test_no_text_hides_a_text_or_a_photo_and_no_photo_a_photo(look: Look) -> None:
    for (one, box), (other, others) in combinations(look.written, 2):
        beside = Bbox.from_extents(box.x0 - 5, box.y0, box.x1 + 5, box.y1)
        assert not beside.overlaps(others), (one.get_text(), other.get_text())
    for text, box in look.written:
        assert not [photo for photo in look.photos if photo.overlaps(box)], text.get_text()
    assert not [pair for pair in combinations(look.photos, 2) if pair[0].overlaps(pair[1])]
    for text, photo in look.on_photos:
        patch = text.get_bbox_patch()
        assert patch is not None
        assert holds(photo, place(patch))


def test_no_name_on_the_map_hides_all_points_of_a_label_or_one_of_few(look: Look) -> None:
    boxes = [place(text) for text in look.names]
    for points in points_of(look):
        hidden = [point for point in points if any(box.contains(*point) for box in boxes)]
        assert len(hidden) <= len(points) / 4


def contrast(colour: Any) -> float:
    """How much darker than white it is, as WCAG 2 counts."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour))
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


def test_all_texts_can_be_read(look: Look) -> None:
    for text, _ in [*look.written, *look.on_photos]:
        assert float(text.get_fontsize()) >= 7.5
    for text, _ in look.written:
        assert contrast(text.get_color()) >= (3.5 if text in look.names else 4.5), text.get_text()
    title, below = (float(text.get_fontsize()) for text in look.figure.texts[:2])
    assert title > 1.5 * below > 1.2 * picture.NAME_SIZES[0]


def test_photos_are_square_and_those_of_a_row_stand_side_by_side(look: Look) -> None:
    for box in look.photos:
        assert box.width == pytest.approx(box.height, abs=1.5)
    right = [axes for axes in look.figure.axes if place(axes).x0 > look.figure.bbox.width / 2]
    rows: dict[int, list[Bbox]] = {}
    for axes in right:
        rows.setdefault(round(place(axes).y0), []).append(place(axes))
    for query, *near in rows.values():
        gaps = [after.x0 - before.x1 for before, after in pairwise(near)]
        assert gaps == pytest.approx([8] * len(gaps), abs=3)
        assert 20 <= near[0].x0 - query.x1 <= 40  # the query stands apart
        assert query.x0 == pytest.approx(place(look.figure.texts[2]).x0, abs=4)  # below the title


def test_fewer_than_five_photos_are_shown_in_place_of_a_map(look: Look) -> None:
    few = look.figure.texts[0].get_text().startswith(("One photo", "4 photos"))
    assert few == bool(look.map.images) == (not look.map.collections)
    assert ("needs at least 5 photos" if few else "t-SNE") in look.figure.texts[1].get_text()


@pytest.mark.parametrize(
    ("labels", "names", "shown"),
    [
        ([f"a{OF_STIX}b", "c"], ["1.jpg", "2.jpg"], f"a{OF_STIX}b"),
        (["one", "one"], [f"a{OF_STIX}b.jpg", "2.jpg"], f"a{OF_STIX}b.jpg"),
    ],
)
def test_a_letter_of_another_script_is_shown_where_a_font_has_it(
    labels: list[str | None], names: list[str], shown: str, tmp_path: Path
) -> None:
    images.configure_pillow()
    titles = [axes.get_title() for axes in figure_of(tmp_path, labels, names).axes]
    assert titles.count(shown) + titles.count(f"✗ {shown}") == 3  # in place of the map, in its row, as a neighbour


def test_a_picture_needs_no_display(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoDisplay(FigureCanvasBase):
        def __init__(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("no display")

    windows = types.ModuleType("windows_of_a_desktop")
    windows.FigureCanvas = NoDisplay  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, windows.__name__, windows)
    before = matplotlib.get_backend()
    matplotlib.use(f"module://{windows.__name__}")  # as somebody's own settings may have it
    try:
        assert len(figure_of(tmp_path, [None], numbered(1)).axes) == 1
    finally:
        matplotlib.use(before)
