"""A picture of a table: a map of the features, and the nearest neighbours of a few photos."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imagefeatures import images, similarity, storage
from imagefeatures.errors import Rejected, StoreRefused
from imagefeatures.lettering import families, lettered, shortened
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import Preprocessing
from imagefeatures.scatter import draw_map, draw_photos

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

MOST = 2000
"""The most photos in one picture: with more, the map would take minutes and its points would hide each other."""

THUMBNAIL = Preprocessing.standard(256, 256)
QUERIES = 5
NEIGHBOURS = 5
NO_LABEL = "no label"
NAME_SIZES = (8.8, 7.6)
"""Font sizes of the name above a photo, in points: the second if the first is too wide. Then the name is shortened."""

INK, FAINT, RIGHT, WRONG = "#1b1b1b", "#5f5f5f", "#00805c", "#c1440e"


@dataclass(frozen=True)
class Photos:
    """The photos of the picture, in order of URI. unit: float32 [n, width], rows of length 1. labels: None without one.

    near: int [n, k], the nearest other photos of each, best first. cosines: float32 [n, k].
    """

    unit: np.ndarray
    labels: list[str | None]
    uris: list[str]
    near: np.ndarray
    cosines: np.ndarray

    @property
    def comparable(self) -> bool:
        """Whether there are at least two labels: only then does it mean anything that two photos share one."""
        return len(set(self.labels) - {None}) > 1


def draw(
    features: np.ndarray, labels: list[str | None], uris: list[str], target: Path, total: int | None = None
) -> None:
    """Write one PNG: a map on the left, query photos with their nearest neighbours on the right.

    The map has a point for each photo, coloured by label; photos themselves where none has a label.
    features: float32 [n, width], n >= 1; labels (None without one) and uris: n each, in any order.
    total: how many photos there are, when these are a sample. A sample is drawn of more than MOST.
    Neighbours are nearest by cosine. The same rows give the same picture. A photo that is gone is a grey square.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    total = total or len(uris)
    kept = sample(uris)
    photos = _photos(features[kept], [labels[index] for index in kept], [uris[index] for index in kept])
    fonts = families([*(label or "" for label in photos.labels), *map(_file_name, photos.uris)])
    with plt.rc_context({"font.family": fonts, "text.color": INK, "text.parse_math": False}):
        figure = plt.figure(figsize=(16, 9), dpi=128, facecolor="white")
        halves = figure.add_gridspec(1, 2, wspace=0.05, left=0.02, right=0.985, top=0.88, bottom=0.02)
        left, right = halves[0], halves[1]
        _write_title(figure, left, *_title_of_map(len(photos.uris), total, features.shape[1]))
        _write_title(figure, right, "Nearest neighbours by cosine", _about_neighbours(photos))
        if len(photos.uris) < similarity.LEAST_FOR_A_MAP:
            _draw_all(figure, left, photos, fonts)
        else:
            map_only = left.subgridspec(2, 1, height_ratios=(1, 0.125), hspace=0)  # the legend is drawn below it
            points = similarity.map_to_plane(photos.unit)
            if set(photos.labels) == {None}:
                draw_photos(figure.add_subplot(left), points, lambda index: _thumbnail(photos.uris[index]))
            else:
                names = [lettered(label or NO_LABEL, fonts) for label in photos.labels]
                draw_map(figure.add_subplot(map_only[0]), points, np.array(names))
        _draw_neighbours(figure, right, photos, fonts)
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, format="png", pil_kwargs={"optimize": True})
        plt.close(figure)


def sample(uris: list[str], most: int = MOST) -> list[int]:
    """Indices of all photos, or of `most` that are chosen by the hash of their URI: the order does not matter."""
    if len(uris) <= most:
        return list(range(len(uris)))
    by_hash = sorted(range(len(uris)), key=lambda index: hashlib.sha256(uris[index].encode()).digest())
    return sorted(by_hash[:most])


def queries(labels: list[str]) -> list[int]:
    """Indices of up to QUERIES photos of as many labels as possible, spread evenly over the labels and their photos.

    >>> queries(["fig"] * 9 + ["pear"])
    [1, 4, 7, 9]
    """
    names = sorted(set(labels))
    count = min(QUERIES, len(names))
    chosen: list[int] = []
    for i in range(count):
        own = [index for index, label in enumerate(labels) if label == names[i * len(names) // count]]
        rows = min(len(own), QUERIES // count + (i < QUERIES % count))
        chosen += [own[int((row + 0.5) * len(own) / rows)] for row in range(rows)]
    return chosen


def _photos(features: np.ndarray, labels: list[str | None], uris: list[str]) -> Photos:
    """The photos in order of URI: a table may give its rows in any order."""
    order = np.argsort(uris).tolist()
    unit = similarity.unit_length(features[order])
    near, cosines = similarity.nearest(unit, min(NEIGHBOURS, len(unit) - 1))
    return Photos(unit, [labels[index] for index in order], [uris[index] for index in order], near, cosines)


def _title_of_map(count: int, total: int, width: int) -> tuple[str, str]:
    photos = f"{count:,} of {total:,} photos" if total > count else f"{count:,} photos"
    title = f"{photos} as the model sees them" if total > 1 else "One photo as the model sees it"
    if count < similarity.LEAST_FOR_A_MAP:
        return title, f"{width:,} numbers a photo; a map needs at least {similarity.LEAST_FOR_A_MAP} photos"
    return title, f"{width:,} numbers a photo, flattened (t-SNE) so that photos that look alike are close together"


def _about_neighbours(photos: Photos) -> str:
    if len(photos.uris) == 1:
        return "there are none: it is the only photo"
    text = "of the photos in the first column"
    if not photos.comparable:
        return text
    labels = np.array([label or "" for label in photos.labels])
    labelled = labels != ""
    hits = (labels[photos.near[:, 0]] == labels)[labelled].mean()
    whose = "of all photos" if labelled.all() else "of the labelled photos"
    return f"{text}. For {hits:.0%} {whose} the nearest has the same label"


def _write_title(figure: Figure, spec: SubplotSpec, title: str, below: str) -> None:
    left = spec.get_position(figure).x0
    figure.text(left, 0.95, title, fontsize=19, weight="bold")
    figure.text(left, 0.918, below, fontsize=11, color=FAINT)


def _draw_all(figure: Figure, spec: SubplotSpec, photos: Photos, fonts: list[str]) -> None:
    """Draw the photos themselves in place of the map: there are too few for one."""
    grid = spec.subgridspec(2, 2, hspace=0.12, wspace=0.06)
    for index, uri in enumerate(photos.uris):
        axes = figure.add_subplot(grid[index // 2, index % 2])
        _draw_photo(axes, uri)
        _frame(axes, _name(photos, index, fonts), INK, 1.2)


def _draw_neighbours(figure: Figure, spec: SubplotSpec, photos: Photos, fonts: list[str]) -> None:
    if len(photos.uris) == 1:
        return
    rows = queries([label or NO_LABEL for label in photos.labels])
    # A narrow empty column separates the query from its neighbours.
    ratios = [1, 0.12, *[1] * NEIGHBOURS]
    grid = spec.subgridspec(max(len(rows), 4), len(ratios), width_ratios=ratios, hspace=0.24, wspace=0.05)
    for row, query in enumerate(rows):
        _draw_photo(figure.add_subplot(grid[row, 0]), photos.uris[query])
        _frame(figure.axes[-1], _name(photos, query, fonts), INK, 1.2)
        for column, (near, cosine) in enumerate(zip(photos.near[query], photos.cosines[query], strict=True), 2):
            axes = figure.add_subplot(grid[row, column])
            _draw_photo(axes, photos.uris[near])
            _write_cosine(axes, cosine)
            name = _name(photos, near, fonts)
            if not photos.comparable or None in (photos.labels[near], photos.labels[query]):
                _frame(axes, name, FAINT, 1.2)
            elif photos.labels[near] == photos.labels[query]:
                _frame(axes, f"✓ {name}", RIGHT, 2.2)
            else:
                _frame(axes, f"✗ {name}", WRONG, 2.2)


def _name(photos: Photos, index: int, fonts: list[str]) -> str:
    """The name above a photo: its label if there are several labels, else its file's name."""
    label = photos.labels[index] or NO_LABEL
    return lettered(label if photos.comparable else _file_name(photos.uris[index]), fonts)


def _file_name(uri: str) -> str:
    return uri.rsplit("/", 1)[-1]


def _draw_photo(axes: Axes, uri: str) -> None:
    pixels = _thumbnail(uri)
    if pixels is None:
        axes.set_facecolor("#dddddd")
        axes.set_box_aspect(1)
        axes.text(0.5, 0.5, "gone", transform=axes.transAxes, ha="center", va="center", fontsize=9, color=FAINT)
    else:
        axes.imshow(pixels, interpolation="antialiased")


def _thumbnail(uri: str) -> np.ndarray | None:
    """The photo, uint8 [256, 256, 3]; None when it has gone or changed since its features were computed."""
    try:
        return images.decode(storage.read(uri), Limits(), THUMBNAIL).pixels
    except (storage.ObjectMissing, StoreRefused, Rejected):
        return None


def _write_cosine(axes: Axes, cosine: float) -> None:
    axes.text(
        0.94, 0.06, f"{cosine:.2f}", transform=axes.transAxes, ha="right", fontsize=8, color="white",
        bbox={"boxstyle": "round,pad=0.2", "facecolor": "black", "alpha": 0.6, "linewidth": 0},
    )  # fmt: skip


def _frame(axes: Axes, title: str, colour: str, width: float) -> None:
    axes.set(xticks=[], yticks=[])
    text = axes.set_title(title, fontsize=NAME_SIZES[0], color=colour, weight="bold", pad=4)
    most, room = len(title), axes.get_window_extent().width * 0.97  # a name beside it does not touch it
    while text.get_window_extent().width > room and most > 4:
        if text.get_fontsize() != NAME_SIZES[-1]:
            text.set_fontsize(NAME_SIZES[-1])
        else:
            most -= 1
            text.set_text(shortened(title, most))
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=width)
