"""Neighbours by an index: nearly all of the true ones, in the form of the exact way, with a recall that is measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import cli, similarity
from imagefeatures.audits import duplicates, gallery, index, labels
from imagefeatures.errors import InputError
from imagefeatures.settings import Settings
from support.auditing import WIDTH, photos

CLUSTERS, EACH = 12, 25


def clustered(width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1, [n, width], and the cluster of each."""
    random = np.random.default_rng(5)
    of = random.permutation(np.repeat(np.arange(CLUSTERS), EACH))
    made = random.normal(size=(CLUSTERS, width))[of] + 0.2 * random.normal(size=(len(of), width))
    return similarity.unit_length(made.astype(np.float32)), of


@pytest.fixture
def by_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "MOST_COMPARED", 10)


def published(settings: Settings, folder: Path) -> tuple[int, int]:
    """The clusters are labels; one photo has another one's, and the last is nearly the first. Returns these two."""
    unit, of = clustered()
    unit[-1] = similarity.unit_length(unit[:1] + np.float32(0.001))[0]
    of[-1] = of[0]
    wrong = 7
    names = [str(label) for label in of]
    names[wrong] = str((of[wrong] + 1) % CLUSTERS)
    rows = [
        (f"{at:04d}.jpg", b"%d" % at, label, vector.tolist())
        for at, (label, vector) in enumerate(zip(names, unit, strict=True))
    ]
    rows.append(("again.jpg", b"3", names[3], unit[3].tolist()))
    photos(settings, folder, rows)
    return wrong, len(unit) - 1


def test_the_index_finds_what_a_comparison_with_all_finds(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(settings, tmp_path)
    exact = gallery.load(settings, "photos", 10)
    assert (exact.recall, exact.sampled, exact.search) == (None, 0, "each image was compared with each other one")
    monkeypatch.setattr(gallery, "MOST_COMPARED", 10)
    found = gallery.load(settings, "photos", 10)
    assert found.recall is not None
    assert found.recall >= index.ENOUGH
    assert found.sampled == CLUSTERS * EACH // 2
    assert found.search.startswith("found by an index; of 150 images, which were compared with all, it found ")
    for name in ("near", "cosines", "image", "first"):
        one, other = getattr(exact, name), getattr(found, name)
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
    assert (found.near == exact.near).mean() > 0.99
    assert found.cosines == pytest.approx(exact.cosines, abs=0.05)
    assert found.photos == exact.photos
    again = gallery.load(settings, "photos", 10)
    assert (again.near == found.near).all()
    assert labels.doubtful(found).schema == labels.doubtful(exact).schema


@pytest.mark.usefixtures("by_index")
def test_planted_labels_and_copies_are_found_by_the_index(settings: Settings, tmp_path: Path) -> None:
    wrong, copy = published(settings, tmp_path)
    found = gallery.load(settings, "photos", 5)
    assert labels.doubtful(found)["uri"][0].as_py().endswith(f"{wrong:04d}.jpg")
    # No file is an image, so pairs count by their vectors.
    pairs = duplicates.find(found, 0.9999).pairs.to_pylist()
    ends = [(row["kind"], row["uri"].rpartition("/")[2], row["other_uri"].rpartition("/")[2]) for row in pairs]
    assert ends == [("exact", "0003.jpg", "again.jpg"), ("near", "0000.jpg", f"{copy:04d}.jpg")]


@pytest.mark.usefixtures("by_index")
def test_the_command_states_the_recall(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published(settings, tmp_path)
    assert cli.main(["audit", "photos", "--to", str(tmp_path / "found")]) == 0
    facts = json.loads((tmp_path / "found" / "search.json").read_text())
    assert (facts["photos"], facts["images"], facts["neighbours"], facts["exact"]) == (301, 300, 10, False)
    assert facts["recall_images"] == 150
    assert f"it found {facts['recall']:.2%} of the 10 nearest" in capsys.readouterr().out


@pytest.mark.usefixtures("by_index")
def test_without_the_library_many_photos_are_refused_before_they_are_read(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(settings, tmp_path)
    monkeypatch.setattr(index, "is_installed", lambda: False)
    with pytest.raises(InputError, match=r"has 301 photos here.*pip install 'imagefeatures\[index\]'"):
        gallery.load(settings, "photos", 5)


def stored(vectors: np.ndarray, tmp_path: Path) -> index.Stored:
    with (tmp_path / "vectors").open("w+b") as file:
        index.write(file, vectors)
        return index.Stored.of_file(file, len(vectors), np.arange(len(vectors)))


def test_a_recall_that_is_poor_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two components cannot tell 12 clusters of 32 dimensions apart, and one list of many is looked into."""
    unit, _ = clustered(32)
    monkeypatch.setattr(index, "COMPONENTS", 2)
    monkeypatch.setattr(index, "PER_LIST", 8)
    monkeypatch.setattr(index, "EFFORTS", ((1, 1),))
    found = index.nearest(stored(unit, tmp_path), 5)
    _, exact = similarity.nearest(unit, 5)
    true = float((found.cosines >= exact[:, -1:] - index.TIE).mean())
    assert true < 0.9
    assert found.recall == pytest.approx(true, abs=0.1)


def test_more_effort_is_made_where_little_does_not_find_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit, _ = clustered(32)
    monkeypatch.setattr(index, "COMPONENTS", 2)
    monkeypatch.setattr(index, "EFFORTS", ((1, 1), (60, 60)))
    assert index.nearest(stored(unit, tmp_path), 5).recall == 1


def test_lists_with_too_few_images_are_not_all_that_is_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit, _ = clustered()
    monkeypatch.setattr(index, "PER_LIST", 8)
    monkeypatch.setattr(index, "EFFORTS", ((1, 4),))
    found = index.nearest(stored(unit, tmp_path), 40)
    assert np.isfinite(found.cosines).all()
    assert all(len({*row, at}) == 41 for at, row in enumerate(found.near.tolist()))


def test_of_equally_near_images_the_first_is_nearest(tmp_path: Path) -> None:
    unit = np.tile(np.eye(4, dtype=np.float32), (5, 1))
    found = index.nearest(stored(unit, tmp_path), 3)
    assert found.near[0].tolist() == [4, 8, 12]
    assert found.near[5].tolist() == [1, 9, 13]
    assert found.recall == 1
