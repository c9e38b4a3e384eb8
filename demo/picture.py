"""The demo's picture: a map of the features, and what lies nearest to a few of the photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from demo.scatter import draw_map
from imagefeatures import images, similarity, storage
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import Preprocessing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

THUMBNAIL = Preprocessing.standard(224, 224)
QUERIES = 5
NEIGHBOURS = 5
INK, FAINT, RIGHT, WRONG = "#1b1b1b", "#5f5f5f", "#00805c", "#c1440e"


def draw(features: np.ndarray, labels: list[str | None], uris: list[str], target: Path) -> None:
    """Write one PNG: left a 2-D map coloured by label, right query photos with their nearest neighbours.

    features: float32 [n, width], n >= 2; labels (None: it has none) and uris: n each, in any order.
    Nearness is the cosine everywhere. The same rows give the same picture.
    Raises storage.ObjectMissing when a photo to be shown is gone.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    features, known, uris = by_uri(features, labels, uris)
    unit = similarity.unit_length(features)
    near, cosines = similarity.nearest(unit, min(NEIGHBOURS, len(unit) - 1))
    with plt.rc_context({"font.family": "DejaVu Sans", "text.color": INK}):
        figure = plt.figure(figsize=(16, 9), dpi=128, facecolor="white")
        left, right = figure.add_gridspec(1, 2, wspace=0.05, left=0.02, right=0.985, top=0.88, bottom=0.02)
        _write_title(
            figure, left, f"{len(unit):,} photos as MobileNetV2 sees them",
            f"{features.shape[1]:,} numbers a photo, flattened (t-SNE) so that photos that look alike lie together",
        )  # fmt: skip
        hits = (known[near[:, 0]] == known).mean()
        _write_title(
            figure, right, "Nearest neighbours by cosine",
            f"of the photos in the first column. For {hits:.0%} of all photos the nearest has the same label",
        )  # fmt: skip
        map_only = left.subgridspec(2, 1, height_ratios=(1, 0.125), hspace=0)  # the legend hangs below
        draw_map(figure.add_subplot(map_only[0]), similarity.map_to_plane(unit), known)
        _draw_neighbours(right, near, cosines, known.tolist(), uris)
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, pil_kwargs={"optimize": True})
        plt.close(figure)


def by_uri(features: np.ndarray, labels: list[str | None], uris: list[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The same rows in order of URI: a table may give them in any order. Labels become strings [n]."""
    order = np.argsort(uris)
    known = np.array([label or "no label" for label in labels])
    return features[order], known[order], [uris[at] for at in order]


def queries(labels: list[str]) -> list[int]:
    """Up to QUERIES photos of as many labels, spread evenly over the labels' names; of each the middle one."""
    names = sorted(set(labels))
    count = min(QUERIES, len(names))
    own = [[at for at, label in enumerate(labels) if label == names[i * len(names) // count]] for i in range(count)]
    return [found[len(found) // 2] for found in own]


def _write_title(figure: Figure, spec: SubplotSpec, title: str, below: str) -> None:
    left = spec.get_position(figure).x0
    figure.text(left, 0.95, title, fontsize=19, weight="bold")
    figure.text(left, 0.918, below, fontsize=11, color=FAINT)


def _draw_neighbours(
    spec: SubplotSpec, near: np.ndarray, cosines: np.ndarray, labels: list[str], uris: list[str]
) -> None:
    figure = spec.get_gridspec().figure
    rows = queries(labels)
    # A narrow empty column stands between the query and its neighbours.
    columns = [0, *range(2, near.shape[1] + 2)]
    ratios = [1, 0.12, *[1] * near.shape[1]]
    grid = spec.subgridspec(max(len(rows), 4), len(ratios), width_ratios=ratios, hspace=0.24, wspace=0.05)
    for row, query in enumerate(rows):
        for column, at, cosine in zip(columns, [query, *near[query]], [None, *cosines[query]], strict=True):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(images.decode(storage.read(uris[at]), Limits(), THUMBNAIL).pixels, interpolation="antialiased")
            if cosine is None:
                _frame(axes, labels[at], INK, 1.2)
            elif labels[at] == labels[query]:
                _frame(axes, f"✓ {labels[at]}", RIGHT, 2.2)
            else:
                _frame(axes, f"✗ {labels[at]}", WRONG, 2.2)
            if cosine is not None:
                axes.text(
                    0.94, 0.06, f"{cosine:.2f}", transform=axes.transAxes, ha="right", fontsize=8, color="white",
                    bbox={"boxstyle": "round,pad=0.2", "facecolor": "black", "alpha": 0.6, "linewidth": 0},
                )  # fmt: skip


def _frame(axes: Axes, title: str, colour: str, width: float) -> None:
    axes.set(xticks=[], yticks=[])
    axes.set_title(title if len(title) <= 19 else title[:18] + "…", fontsize=8.8, color=colour, weight="bold", pad=4)
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=width)
