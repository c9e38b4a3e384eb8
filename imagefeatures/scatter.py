"""The left half of the picture: the features on a plane, as points coloured by label, or as the photos themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from imagefeatures.lettering import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.text import Text

# Consecutive styles differ in hue and in lightness. Similar colours have different markers, so that labels can be told
# apart by colour-blind people and in a grey print.
STYLES = (
    ("#0072b2", "o"), ("#e69f00", "^"), ("#009e73", "s"), ("#c2559d", "D"), ("#d55e00", "v"), ("#4aa8e0", "P"),
    ("#6a3d9a", "X"), ("#8c6d1f", "o"), ("#f0902b", "s"), ("#93b82b", "D"), ("#c1121f", "^"), ("#e8669a", "P"),
    ("#2f4b9c", "v"), ("#1d7a52", "X"),
)  # fmt: skip
REST = ("#b5b5b5", ".")
REST_NAME = "other labels"


THUMBNAIL_PIXELS = 58
"""The side of a photo on the map, in pixels of the figure: about a hundred stand side by side."""

NAME_CHARACTERS, LEGEND_CHARACTERS = 22, 19
"""The longest name beside the points, and the longest name in a column of the legend."""


def draw_map(axes: Axes, points: np.ndarray, labels: np.ndarray) -> None:
    """points: float [n, 2]; labels: n strings.

    The fourteen most frequent labels get a colour; the others are grey. If there is only one label, it is written in
    the legend but not beside its points.
    """
    counts = Counter(labels.tolist())
    named = sorted(name for name, _ in counts.most_common(len(STYLES)))
    rest = ~np.isin(labels, named)
    axes.set_axis_off()
    axes.margins(0.05)
    handles = []
    if rest.any():
        handles.append(_points(axes, points[rest], REST, _entry(REST_NAME, int(rest.sum()))))
    styles = dict(zip(named, STYLES, strict=False))
    handles += [_points(axes, points[labels == name], styles[name], _entry(name, counts[name])) for name in named]
    longest = max(len(str(handle.get_label())) for handle in handles)
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.0, 0.0), ncols=4, fontsize=10.5 if longest < 22 else 8.5,
        frameon=False, handletextpad=0.1, columnspacing=1.2, labelspacing=0.45, markerscale=1.5, borderaxespad=0.2,
    )  # fmt: skip
    if len(named) > 1:
        _write_names(axes, points, labels, {name: styles[name][0] for name in named})


def draw_photos(axes: Axes, points: np.ndarray, pixels_of: Callable[[int], np.ndarray | None]) -> None:
    """Draw photos at their places, as many as do not hide each other, over a point for each.

    points: float [n, 2]. pixels_of: the index of a photo to uint8 [height, width, 3], None when it is gone.
    """
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    axes.set_axis_off()
    axes.margins(0.05)
    _points(axes, points, REST, "")
    axes.figure.canvas.draw()
    for index in apart(axes.transData.transform(points), THUMBNAIL_PIXELS):
        if (pixels := pixels_of(index)) is not None:
            zoom = THUMBNAIL_PIXELS / len(pixels) * 72 / axes.figure.get_dpi()
            photo = AnnotationBbox(OffsetImage(pixels, zoom=zoom), points[index], pad=0, frameon=False)
            axes.add_artist(photo)


def apart(places: np.ndarray, side: float) -> list[int]:
    """Indices of places, float [n, 2], on which squares of that side do not overlap: each is taken that still fits.

    >>> apart(np.array([[0, 0], [5, 0], [10, 0], [10, 10]]), 10)
    [0, 2, 3]
    """
    taken: list[int] = []
    for index, place in enumerate(places):
        if (np.abs(places[taken] - place).max(axis=1) >= side).all():
            taken.append(index)
    return taken


def _entry(name: str, count: int) -> str:
    # The space keeps a label that begins with an underscore: matplotlib would leave it out.
    return f" {shortened(name, LEGEND_CHARACTERS)}  {count:,}"


def _points(axes: Axes, points: np.ndarray, style: tuple[str, str], name: str) -> PathCollection:
    colour, marker = style
    return axes.scatter(
        points[:, 0],
        points[:, 1],
        s=28,
        c=colour,
        marker=marker,
        alpha=0.85,
        linewidths=0.3,
        edgecolors="white",
        label=name,
    )


def _write_names(axes: Axes, points: np.ndarray, labels: np.ndarray, colours: dict[str, str]) -> None:
    """Write each label near the densest group of its points, where it hides few points and no other name."""
    from matplotlib.colors import to_rgb
    from matplotlib.patheffects import withStroke

    figure = axes.figure
    figure.canvas.draw()
    pixels = axes.transData.transform(points)
    bounds = np.array(axes.get_window_extent().extents)
    taken: list[np.ndarray] = []
    for name, colour in colours.items():
        own = labels == name
        dark = np.array(to_rgb(colour)) * 0.72  # letters are thinner than markers
        short = shortened(name, NAME_CHARACTERS)
        text = axes.text(0, 0, short, fontsize=11.5, weight="bold", color=dark, ha="center", va="center", zorder=5)
        text.set_path_effects([withStroke(linewidth=3.5, foreground="white")])
        candidates = _candidates(_size(text), pixels[own], bounds)
        box = min(candidates, key=lambda candidate: _cost(candidate, pixels[own], pixels[~own], taken))[0]
        taken.append(box)
        x, y = axes.transData.inverted().transform(box.reshape(2, 2).mean(axis=0))
        text.set_position((x, y))


def _size(text: Text) -> np.ndarray:
    extent = text.get_window_extent()
    return np.array([extent.width, extent.height]) + 6


def _candidates(size: np.ndarray, own: np.ndarray, bounds: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """Boxes [left, bottom, right, top] around the densest point of a label, and their distance from it; in pixels."""
    densest = own[np.argmax((np.linalg.norm(own[:, None] - own[None], axis=2) < 60).sum(axis=1))]
    low, high = bounds[:2] + size / 2, bounds[2:] - size / 2
    boxes = []
    for radius in range(0, 200, 8):
        for angle in np.linspace(0, 2 * np.pi, 24, endpoint=False):
            centre = np.clip(densest + radius * np.array([np.cos(angle), np.sin(angle)]), low, high)
            boxes.append((np.concatenate([centre - size / 2, centre + size / 2]), radius))
    return boxes


def _cost(candidate: tuple[np.ndarray, int], own: np.ndarray, others: np.ndarray, taken: list[np.ndarray]) -> float:
    """The cost of a place for a name: points and names that it hides, points close to it, distance from its own.

    Of few points of its own the name hides none where there is room beside them.
    """
    box, radius = candidate
    hidden = _inside(own, box)
    clash = any((box[:2] < other[2:]).all() and (other[:2] < box[2:]).all() for other in taken)
    wide = box + np.array([-14, -14, 14, 14])
    beside = 3 * _inside(others, box) + _inside(others, wide) + radius / 4
    return hidden + 40 * hidden / max(len(own), 1) + beside + 1000 * clash


def _inside(points: np.ndarray, box: np.ndarray) -> int:
    return int(((points > box[:2]) & (points < box[2:])).all(axis=1).sum())
