"""exports.components: those of scikit-learn, in one pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from imagefeatures import read
from imagefeatures.errors import ParamsError
from imagefeatures.exports import components
from imagefeatures.settings import Settings
from support.exporting import WIDTH, expected, exported, scattered


def vectors(count: int = 700, width: int = 40) -> np.ndarray:
    """Vectors that lie far from zero, with variance of very different sizes: float32 [n, width]."""
    random = np.random.default_rng(3)
    return (100 + random.standard_normal((count, width)) * np.geomspace(1, 0.01, width)).astype(np.float32)


def test_components_are_those_of_scikit_learn() -> None:
    from sklearn.decomposition import PCA

    whole = vectors()
    found = components.fit(np.array_split(whole, 9), 40, 6)
    judge = PCA(6, svd_solver="full").fit(whole.astype(np.float64))
    np.testing.assert_allclose(found.explained, judge.explained_variance_ratio_, rtol=1e-3)
    signs = np.sign((found.axes * judge.components_).sum(axis=1))[:, None]
    np.testing.assert_allclose(found.axes * signs, judge.components_, atol=2e-3)
    np.testing.assert_allclose(found.of(whole), judge.transform(whole) * signs.T, atol=5e-3)
    assert (found.axes[np.arange(6), np.abs(found.axes).argmax(axis=1)] > 0).all()


@pytest.mark.parametrize("count", [24, 5, 0])
def test_more_components_than_there_can_be_are_refused(count: int) -> None:
    with pytest.raises(ParamsError, match=rf"--pca: at most {max(count - 1, 0)} components of {count} vectors"):
        components.fit(iter([vectors(count, 30)] if count else []), 30, 28)


def test_vectors_that_are_all_the_same_have_no_variance() -> None:
    found = components.fit([np.ones((5, 4), np.float32)], 4, 2)
    assert found.explained.tolist() == [0, 0]
    np.testing.assert_array_equal(found.of(np.ones((1, 4), np.float32)), 0)


def test_an_export_of_components_has_them_and_what_makes_them(settings: Settings, tmp_path: Path) -> None:
    scattered(settings, tmp_path, 400)
    ready = exported(settings, tmp_path / "few.csv", components=3, flat=True)
    exported(settings, tmp_path / "few.parquet", components=3)
    table = expected(settings)
    projection = np.load(tmp_path / "few.csv.pca.npz")
    wanted = (read.vectors(table.combine_chunks()) - projection["mean"]) @ projection["axes"].T
    rows = pyarrow.csv.read_csv(tmp_path / "few.csv")
    assert rows.column_names[-3:] == ["pc0", "pc1", "pc2"]
    assert rows["uri"].to_pylist() == table["uri"].to_pylist()
    np.testing.assert_allclose(np.stack([rows[f"pc{at}"] for at in range(3)], axis=1), wanted, atol=1e-5)
    lists = pq.read_table(tmp_path / "few.parquet")["components"]
    np.testing.assert_allclose(np.array(lists.to_pylist()), wanted, atol=1e-5)
    assert ready.projection is not None
    assert projection["axes"].shape == (3, WIDTH)
    assert 0 < ready.projection.explained.sum() < 1
