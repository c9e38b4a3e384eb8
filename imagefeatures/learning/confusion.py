"""The table of confusions as a picture: true labels by predicted ones, each row coloured by its shares."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from imagefeatures.lettering import families, lettered, shortened

MOST = 40
"""The most labels in a picture: with more, their names could not be read. Those with the most errors are shown."""

WITH_COUNTS = 30
"""Up to so many labels, each field shows its number of rows."""

LONGEST_NAME = 24
INK, FAINT = "#1b1b1b", "#5f5f5f"


def draw(confusion: np.ndarray, labels: tuple[str, ...], title: str, below: str) -> bytes:
    """A PNG. confusion: int64 [k, k], rows of true labels. title, below: the lines above it. The same input gives the
    same picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.transforms import ScaledTranslation

    shown = _shown(confusion)
    if len(shown) < len(labels):
        below += f" · the {len(shown)} of {len(labels)} labels with the most errors"
    counts = confusion[np.ix_(shown, shown)]
    shares = counts / np.maximum(confusion.sum(1)[shown], 1)[:, None]
    fonts = families(labels)
    names = [shortened(lettered(labels[at], fonts), LONGEST_NAME) for at in shown]
    side = max(5.0, 0.42 * len(shown) + 3)
    figure = Figure(figsize=(side + 0.8, side + 0.6), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    style: dict[str, Any] = {"fontfamily": fonts, "color": INK, "parse_math": False}
    axes.set_xticks(range(len(shown)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8.5, **style)
    axes.set_yticks(range(len(shown)), names, fontsize=8.5, **style)
    axes.set_xlabel("predicted", fontsize=10, color=FAINT)
    axes.set_ylabel("true", fontsize=10, color=FAINT)
    axes.tick_params(length=0)
    axes.set_title(title, loc="left", pad=22, fontsize=13, weight="bold", **style)
    above = axes.transAxes + ScaledTranslation(0, 7 / 72, figure.dpi_scale_trans)
    axes.text(0, 1, below, transform=above, fontsize=9, color=FAINT, fontfamily=fonts, parse_math=False)
    if len(shown) <= WITH_COUNTS:
        for row, column in zip(*np.nonzero(counts), strict=True):
            ink = "white" if shares[row, column] > 0.55 else INK
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize=8, color=ink)
    for spine in axes.spines.values():
        spine.set_color("#cccccc")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02)
    bar.set_label("share of the true label's held-out rows", fontsize=8, color=FAINT)
    bar.ax.tick_params(labelsize=8, colors=FAINT)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", metadata={"Software": None})
    return sink.getvalue()


def _shown(confusion: np.ndarray) -> np.ndarray:
    """The places of the labels that are shown, in their order."""
    errors = confusion.sum(0) + confusion.sum(1) - 2 * np.diagonal(confusion)
    return np.sort(np.argsort(-errors, kind="stable")[:MOST])
