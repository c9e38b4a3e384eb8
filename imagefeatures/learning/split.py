"""Which rows are held out, and which labels have enough of them to be fitted.

The side of a row is decided by its image_id alone, as `read.open(split=…)` decides it: equal bytes are on one side, and
a later snapshot moves no image. The hash knows nothing of labels, so each label gives the same share, up to chance.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import names
from imagefeatures.errors import InputError
from imagefeatures.reasons import printable

LEAST_TRAIN, LEAST_TEST = 2, 1
"""The fewest images of a label on either side."""

MOST_LABELS = 1000
"""The most labels of a classifier: each row of predictions has a number for each of them."""

KEPT = 50
"""So many rows of each label are fitted even where `max_rows` leaves out rows."""

NAMED = 5

FIT = "fit:"
"""What stands before an image_id whose hash decides whether a training row is fitted, where `max_rows` leaves out rows:
another hash than the split's, whose low values are all on the other side."""


@dataclass
class Survey:
    """How many rows there are of each label on either side, and without a label."""

    train: Counter[str] = field(default_factory=Counter)
    test: Counter[str] = field(default_factory=Counter)
    unlabelled: int = 0


@dataclass(frozen=True)
class Labels:
    """fitted: labels of the classifier, sorted. left_out: labels with too few images, with the rows that each has."""

    fitted: tuple[str, ...]
    left_out: Mapping[str, int]

    @property
    def warning(self) -> str | None:
        """What is left out, in one line; None where nothing is."""
        if not self.left_out:
            return None
        some = ", ".join(f"{printable(label)} ({count})" for label, count in [*self.left_out.items()][:NAMED])
        more = f" and {len(self.left_out) - NAMED} more" if len(self.left_out) > NAMED else ""
        return (
            f"too few images to be fitted, at least {LEAST_TRAIN} to train on and {LEAST_TEST} held out are needed: "
            f"{some}{more}"
        )


def bound(share: float) -> str:
    """A key below it belongs to the share. Keys are texts of at least 16 hexadecimal digits.

    >>> bound(0.2)
    '3333333333333400'
    """
    return f"{int(share * 2**64):016x}" if share < 1 else "g"


def keys(image_ids: Iterable[str], seed: int) -> list[str]:
    """What decides the side of each image: its image_id; with a seed, another hash of it."""
    return [hashlib.sha256(f"{seed}:{found}".encode()).hexdigest() for found in image_ids] if seed else [*image_ids]


def held_out(image_ids: pa.Array, share: float, seed: int) -> np.ndarray:
    """Whether each image is held out: bool [n].

    >>> held_out(pa.array(["32" + "0" * 62, "34" + "0" * 62]), 0.2, 0).tolist()
    [True, False]
    """
    found = pa.array(keys(image_ids.to_pylist(), seed), pa.string()) if seed else image_ids
    side: np.ndarray = pc.less(found, bound(share)).to_numpy(zero_copy_only=False)
    return side


def survey(batches: Iterable[pa.RecordBatch], share: float, seed: int) -> Survey:
    """Count the rows. batches: with the columns image_id and label."""
    counts = Survey()
    for rows in batches:
        test = held_out(rows.column("image_id"), share, seed)
        labels = rows.column("label")
        counts.unlabelled += labels.null_count
        for side, counter in ((test, counts.test), (~test, counts.train)):
            for found in pc.value_counts(labels.filter(pa.array(side)).drop_null()).to_pylist():
                counter[found["values"]] += found["counts"]
    return counts


def fitted_labels(found: Survey, dataset: str) -> Labels:
    """The labels that can be fitted. Raises InputError where they are fewer than two or too many."""
    table = names.table_name(dataset)
    every = sorted({*found.train, *found.test})
    if not every:
        raise InputError(
            f"{table}: no image has a label, so there is nothing to learn; set label: in {dataset}.yaml and run "
            f"{names.dag_id(dataset)} again"
        )
    if len(every) == 1:
        raise InputError(
            f"{table}: every label is {printable(every[0])}, and a classifier needs two; add images with other "
            f"labels, or set label: in {dataset}.yaml so that it tells them apart"
        )
    fitted = [one for one in every if found.train[one] >= LEAST_TRAIN and found.test[one] >= LEAST_TEST]
    if len(fitted) < 2:
        raise InputError(
            f"{table}: fewer than two labels have {LEAST_TRAIN} images to train on and {LEAST_TEST} held out; add "
            "images, or set classify: {test_share: …} or {split_seed: …}"
        )
    if len(fitted) > MOST_LABELS:
        raise InputError(
            f"{table}: {len(fitted):,} labels, and a classifier takes {MOST_LABELS:,}; set label: in {dataset}.yaml "
            "so that it finds fewer"
        )
    left_out = {one: found.train[one] + found.test[one] for one in every if one not in set(fitted)}
    return Labels(tuple(fitted), left_out)


def shares_fitted(found: Survey, labels: Labels, most: int) -> dict[str, float]:
    """The share of each label's training rows that is fitted, so that about `most` rows are: at least KEPT of each."""
    rows = sum(found.train[label] for label in labels.fitted)
    return {label: min(1.0, max(most / rows, KEPT / found.train[label])) for label in labels.fitted}


def rows_fitted(batches: Iterable[pa.RecordBatch], share: float, seed: int, shares: Mapping[str, float]) -> int:
    """How many rows are fitted, counted by the hash that chooses them. batches: with the columns image_id and label.

    shares: of each fitted label's training rows, as `shares_fitted` has them.
    """
    bounds = {label: bound(of_label) for label, of_label in shares.items()}
    count = 0
    for rows in batches:
        train = rows.filter(pa.array(~held_out(rows.column("image_id"), share, seed)))
        pairs = zip(train.column("image_id").to_pylist(), train.column("label").to_pylist(), strict=True)
        count += sum(
            hashlib.sha256(f"{FIT}{image_id}".encode()).hexdigest() < bounds[label]
            for image_id, label in pairs
            if label in bounds
        )
    return count
