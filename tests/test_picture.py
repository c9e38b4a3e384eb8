"""The picture of a table: right for any number of photos, with labels in any script or none."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox
from PIL import Image

from demo import bad_files
from imagefeatures import picture, scatter
from support.demo_photos import jpeg

SIXTY = "a label that goes on for all of its sixty characters, until "
HEBREW, ARABIC, JAPANESE = "תפוחים", "تفاحة", "りんご"


@dataclass
class Seen:
    """What a drawn picture says. titles: the four lines at its top. names: above photos. legend: its entries.

    photos: how many stand on the map.
    """

    titles: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    legend: list[str] = field(default_factory=list)
    photos: int = 0


Draw = Callable[..., Seen]


@pytest.fixture
def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Draw:
    """draw(labels, total=None): what the picture of so many photos says. It is laid out, and not written."""
    seen = Seen()

    def look(figure: Figure, *_: object, **__: object) -> None:
        figure.canvas.draw()
        seen.photos = sum(len(axes.findobj(AnnotationBbox)) for axes in figure.axes)
        seen.titles = [text.get_text() for text in figure.texts]
        for axes in figure.axes:
            if name := axes.get_title():
                seen.names.append(name)
                assert axes.title.get_window_extent().width <= axes.get_window_extent().width * 1.06
            seen.inside += [text.get_text() for text in axes.texts]
            if legend := axes.get_legend():
                seen.legend = [text.get_text().strip() for text in legend.get_texts()]
                assert legend.get_window_extent().x1 < figure.bbox.width * 0.52  # it stays below the map

    monkeypatch.setattr(Figure, "savefig", look)

    def drawn(labels: list[str | None], total: int | None = None) -> Seen:
        (tmp_path / "photo.jpg").write_bytes(jpeg(1))
        uris = [f"file://{tmp_path}/{at:04d} a name that is longer than its photo.jpg" for at in range(len(labels))]
        for uri in uris[:10]:
            Path(uri.removeprefix("file://")).write_bytes(jpeg(1))
        noise = np.random.default_rng(0)
        centres = noise.random((20, 64), np.float32)
        of_label = [sorted(set(map(str, labels))).index(str(label)) for label in labels]
        features = centres[np.array(of_label) % 20] + 0.05 * noise.random((len(labels), 64), np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # matplotlib warns of letters that no font has
            picture.draw(features, labels, uris, tmp_path / "never.png", total)
        return seen

    return drawn


def test_queries_have_different_labels_and_fill_the_rows() -> None:
    labels = [label for label in "abcdefgh" for _ in range(3)]
    assert [labels[at] for at in picture.queries(labels)] == ["a", "b", "d", "e", "g"]
    assert picture.queries(["x", "y", "x", "x"]) == [0, 2, 3, 1]
    assert picture.queries(["x"]) == [0]
    assert picture.queries(["x"] * 100) == [10, 30, 50, 70, 90]


ALL_ALIKE = "of the photos in the first column. For 100% of all photos the nearest has the same label"


@pytest.mark.parametrize(
    ("labels", "total", "title", "neighbours"),
    [
        ([None], None, "One photo as the model sees it", "there are none: it is the only photo"),
        (["a"], None, "One photo as the model sees it", "there are none: it is the only photo"),
        ([None] * 2, None, "2 photos as the model sees them", "of the photos in the first column"),
        ([None] * 30, None, "30 photos as the model sees them", "of the photos in the first column"),
        (["one"] * 30, None, "30 photos as the model sees them", "of the photos in the first column"),
        (["a", "b"] * 15, None, "30 photos as the model sees them", ALL_ALIKE),
        (["a", "b"] * 15, 12345, "30 of 12,345 photos as the model sees them", ALL_ALIKE),
        (["a", "b", None] * 9, None, "27 photos as the model sees them", ALL_ALIKE.replace("all", "the labelled")),
    ],
    ids=["one", "one with a label", "two", "no labels", "one label", "labels", "a sample", "some without a label"],
)
def test_titles_are_true(draw: Draw, labels: list[str | None], total: int | None, title: str, neighbours: str) -> None:
    seen = draw(labels, total)
    assert [seen.titles[0], *seen.titles[2:]] == [title, "Nearest neighbours by cosine", neighbours]
    assert seen.titles[1].startswith("64 numbers a photo")
    assert ("t-SNE" in seen.titles[1]) == (len(labels) >= 5)
    if len(set(labels) - {None}) < 2:  # then names of files tell the photos apart
        assert all(name.startswith("00") and name.endswith(".jpg") for name in seen.names)
    else:
        assert {name.lstrip("✓ ") for name in seen.names} <= {"a", "b", "no label"}


def test_without_labels_the_map_is_of_the_photos_themselves(draw: Draw) -> None:
    seen = draw([None] * 12)  # two of them were never there
    assert seen.legend == []
    assert 2 <= seen.photos <= 10
    assert draw(["holiday"] * 12).photos == 0


def test_photos_on_the_map_do_not_hide_each_other() -> None:
    places = np.random.default_rng(3).random((400, 2)) * 700
    taken = scatter.apart(places, 58)
    distances = np.abs(places[taken][:, None] - places[taken][None]).max(axis=2)
    assert distances[~np.eye(len(taken), dtype=bool)].min() >= 58
    left = [at for at in range(400) if at not in taken]
    assert (np.abs(places[left][:, None] - places[taken][None]).max(axis=2).min(axis=1) < 58).all()


def test_a_single_label_is_in_the_legend_and_not_among_the_points(draw: Draw) -> None:
    seen = draw(["holiday"] * 6)
    assert seen.legend == ["holiday  6"]
    assert "holiday" not in seen.inside


def test_long_labels_are_shortened_in_the_middle(draw: Draw) -> None:
    seen = draw([f"{SIXTY}{at % 20:02d}" for at in range(60)])
    assert "other labels  18" in seen.legend
    assert [entry for entry in seen.legend if entry.startswith("a label th") and entry.endswith(" 00  3")]
    assert max(map(len, seen.legend)) <= 23
    assert [name for name in seen.names if "…" in name]


def test_labels_of_any_script_and_sign_are_shown(draw: Draw) -> None:
    seen = draw([HEBREW, ARABIC, JAPANESE, "_a$b$c", "two\nlines\t", "\u200f"] * 5)
    assert {f"{HEBREW}  5", f"{ARABIC}  5", "_a$b$c  5", "two lines  5", "\\u200f  5"} < set(seen.legend)
    assert len(seen.legend) == 6
    assert HEBREW in seen.inside


def test_a_photo_that_is_gone_is_a_grey_square(draw: Draw) -> None:
    seen = draw([None] * 12)  # two of them were never there
    assert "gone" in seen.inside


def test_the_picture_can_show_odd_files(tmp_path: Path) -> None:
    made = [jpeg(seed) for seed in range(18)] + [bad_files.cmyk_jpeg(jpeg(1)), bad_files.grey_16_bit_png(jpeg(2))]
    uris = []
    for at, data in enumerate(made):
        (tmp_path / f"{at:02d} é%20.jpg").write_bytes(data)
        uris.append(f"file://{tmp_path}/{at:02d} é%20.jpg")
    labels = [f"label {at % 16}" if at else None for at in range(len(made))]  # more labels than colours
    features = np.random.default_rng(0).random((len(made), 1280), np.float32)
    picture.draw(features, labels, uris, tmp_path / "out" / "one.png")
    with Image.open(tmp_path / "out" / "one.png") as drawn:
        assert drawn.size == (2048, 1152)
        assert len(drawn.convert("RGB").resize((256, 144)).getcolors(256 * 144)) > 500


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    features = np.random.default_rng(0).random((6, 64), np.float32)
    labels, uris = ["a", "b", None, "a", "b", "a"], [f"file://{tmp_path}/{at}.jpg" for at in range(6)]
    for uri in uris:
        Path(uri.removeprefix("file://")).write_bytes(jpeg(int(uri[-5])))
    drawn = []
    for order in ([0, 1, 2, 3, 4, 5], [3, 1, 5, 0, 4, 2]):
        target = tmp_path / "picture.png"
        picture.draw(features[order], [labels[at] for at in order], [uris[at] for at in order], target)
        drawn.append(target.read_bytes())
    assert drawn[0] == drawn[1]


def test_a_sample_is_the_same_photos_in_any_order() -> None:
    uris = [f"file:///{at}.jpg" for at in range(100)]
    kept = {uris[at] for at in picture.sample(uris, 10)}
    turned = uris[::-1]
    assert {turned[at] for at in picture.sample(turned, 10)} == kept
    assert len(kept) == 10
    assert {uris[:50][at] for at in picture.sample(uris[:50], 50)} == set(uris[:50])
    later = [*kept, *uris[:3]]
    assert {later[at] for at in picture.sample(later, 10)} == kept  # so that batches may be sampled one by one
