"""How far photos are from the centre of their label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imagefeatures.audits import centres
from imagefeatures.readers import parquet
from imagefeatures.settings import Settings
from support.auditing import direction, photos
from support.photos import jpeg
from support.publishing import DAY

ROWS = [
    ("a", "fig", 0.0),
    ("b", "pear", 90.0),
    ("c", "fig", 20.0),
    ("d", None, 45.0),
    ("e", "fig", 40.0),
    ("f", "pear", 90.0),
]


@pytest.mark.parametrize("batch_rows", [1, 2, 1024])
def test_the_distance_is_that_to_the_mean_of_the_label(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    monkeypatch.setattr(parquet, "BATCH_ROWS", batch_rows)
    rows = [
        (name, jpeg(at), label, [7 * value for value in direction(far)]) for at, (name, label, far) in enumerate(ROWS)
    ]
    photos(settings, tmp_path, rows)
    found = centres.with_distances(settings, "photos", DAY, ("uri", "size"), most=100)
    assert found.column_names == ["uri", "size", "distance"]
    assert [uri.rpartition("/")[2] for uri in found["uri"].to_pylist()] == list("abcdef")
    twenty = 1 - np.cos(np.radians(20))
    np.testing.assert_allclose(found["distance"].to_numpy(), [twenty, 0, 0, 0, twenty, 0], atol=1e-6)


def test_an_augmented_copy_moves_no_centre(settings: Settings, tmp_path: Path) -> None:
    rows = [(name, jpeg(at), label, direction(far)) for at, (name, label, far) in enumerate(ROWS)]
    photos(settings, tmp_path, rows, copy=[0, 0, 1, 0, 1, 0])
    found = centres.with_distances(settings, "photos", DAY, ("uri",), most=100)
    assert [uri.rpartition("/")[2] for uri in found["uri"].to_pylist()] == list("abdf")
    np.testing.assert_allclose(found["distance"].to_numpy(), 0, atol=1e-6)


def test_no_more_rows_are_read_than_were_asked_for_and_another_partition_has_none(
    settings: Settings, tmp_path: Path
) -> None:
    rows = [(name, jpeg(at), label, direction(far)) for at, (name, label, far) in enumerate(ROWS)]
    photos(settings, tmp_path, rows)
    found = centres.with_distances(settings, "photos", DAY, ("uri",), most=3)
    ten = 1 - np.cos(np.radians(10))  # the centre is that of the rows which are read
    np.testing.assert_allclose(found["distance"].to_numpy(), [ten, 0, ten], atol=1e-6)
    none = centres.with_distances(settings, "photos", "2020-01-01", ("uri", "label"), most=3)
    assert (none.num_rows, none.column_names) == (0, ["uri", "label", "distance"])
