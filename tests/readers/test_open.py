"""read.open: one snapshot of a dataset, pinned, as arrays and as a data frame."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import read, schemas
from imagefeatures.catalog import tables
from imagefeatures.errors import CatalogRefused, InputError
from imagefeatures.settings import Settings
from support.publishing import DAY
from support.reading import NEXT_DAY, photos_table
from support.training import LABELS, publish, publish_files, rows_of

READERS = Path(sys.prefix) / "readers"


def test_arrays_hold_every_row_in_the_order_of_the_table(settings: Settings, tmp_path: Path) -> None:
    count = publish_files(settings, tmp_path, [5, 2000, 3])
    fruit = read.open("photos", settings=settings)
    features, labels, uris, label_names = fruit.to_numpy()
    assert (len(fruit), fruit.label_names, fruit.fingerprint) == (count, label_names, "f" * 32)
    assert (features.dtype, features.shape, labels.dtype) == (np.float32, (count, 4), np.int64)
    assert np.array_equal(features, np.arange(count)[:, None] + np.arange(4))
    assert [None if number < 0 else label_names[number] for number in labels[:8]] == [*LABELS, *LABELS]
    assert uris.tolist() == [f"s3://b/{number:07}" for number in range(count)]
    assert label_names == ("apple", "pear", "plum")
    rows = read.table(settings, "photos")
    assert pa.Table.from_batches(fruit.batches()).equals(rows)
    assert np.array_equal(features, read.vectors(rows))


def test_settings_come_from_the_environment(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [3])
    fruit = read.open("photos")
    assert repr(fruit) == f"<features.photos, snapshot {fruit.snapshot}, 3 rows>"


def test_a_label_has_the_same_number_however_the_rows_are_chosen(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [40])
    for chosen in (
        read.open("photos", labels=("plum",)),
        read.open("photos", where="label = 'plum'", split="train"),
        read.open("photos", labels=(None, "plum"), partitions=(DAY,)),
    ):
        assert chosen.label_names == ("apple", "pear", "plum")
        assert set(chosen.to_numpy().labels) - {-1} == {2}
    assert read.open("photos", partitions=("2020-01-01",)).label_names == ("apple", "pear", "plum")


def test_names_of_a_users_own_give_the_numbers(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [8])
    own = read.open("photos", label_names=["plum", "pear"])
    assert own.to_numpy().labels.tolist() == [1, -1, -1, 0] * 2
    assert own.label_names == ("plum", "pear")
    with pytest.raises(InputError, match=r"^features\.photos: label_names has a name twice$"):
        read.open("photos", label_names=["plum", "plum"])


# A split


def test_equal_bytes_are_never_on_both_sides_of_a_split(settings: Settings, tmp_path: Path) -> None:
    """Every row is published a second time under another URI, on another day."""
    rows = rows_of(0, 3000)
    place = rows.schema.get_field_index("uri")
    again = rows.set_column(place, schemas.FEATURES.field("uri"), pa.array([f"s3://again/{n}" for n in range(3000)]))
    publish(settings, tmp_path, [rows])
    publish(settings, tmp_path, [again], NEXT_DAY, "later")
    sides = {}
    for share in (0.2, 0.5):
        for side in ("train", "test"):
            chosen = read.open("photos", split=side, test_share=share)
            ids = pa.Table.from_batches(chosen.batches(("image_id",)))["image_id"].to_pylist()
            sides[side, share] = set(ids)
            assert len(ids) == 2 * len(set(ids)) == len(chosen)
    for share in (0.2, 0.5):
        assert not sides["train", share] & sides["test", share]
        assert len(sides["train", share] | sides["test", share]) == 3000
        assert len(sides["test", share]) == pytest.approx(3000 * share, rel=0.1)
    assert sides["test", 0.2] < sides["test", 0.5]  # a larger share only adds to it
    assert len(read.open("photos", split="test")) == 2 * len(sides["test", 0.2])
    assert read.table(settings, "photos", split="test").num_rows == 2 * len(sides["test", 0.2])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"split": "valid"}, 'split is \'valid\'; it may be "train" or "test"'),
        ({"test_share": 0.3}, 'split is None; it may be "train" or "test"'),
        ({"split": "test", "test_share": 0}, "test_share is 0; it must be between 0 and 1"),
        ({"split": "test", "test_share": 1.0}, "test_share is 1.0; it must be between 0 and 1"),
    ],
)
def test_a_split_that_is_none_is_refused(
    settings: Settings, tmp_path: Path, given: dict[str, object], words: str
) -> None:
    publish_files(settings, tmp_path, [3])
    with pytest.raises(InputError, match=rf"^features\.photos: {words}$"):
        read.open("photos", **given)  # type: ignore[arg-type]


# Vectors of two kinds


def test_vectors_that_were_computed_in_two_ways_are_refused_until_one_is_chosen(
    settings: Settings, tmp_path: Path
) -> None:
    publish(settings, tmp_path, [rows_of(0, 5)])
    publish(settings, tmp_path, [rows_of(5, 3, width=6, fingerprint="e" * 32)], NEXT_DAY, "later")
    both = read.open("photos")
    told = (
        rf"^features\.photos: its vectors were computed in several ways and do not compare: fingerprints {'f' * 32} "
        rf"\(5 rows\), {'e' * 32} \(3 rows\); choose one with fingerprint=$"
    )
    for use in (both.to_numpy, both.to_tf, lambda: both.fingerprint):
        with pytest.raises(InputError, match=told):
            use()
    assert len(both) == 8
    assert read.open("photos", fingerprint="e" * 32).to_numpy().features.shape == (3, 6)
    assert read.open("photos", partitions=(DAY,)).to_numpy().features.shape == (5, 4)
    with pytest.raises(InputError, match=r"^features\.photos: no rows with fingerprint eee; there are eeee.*, ffff"):
        read.open("photos", fingerprint="eee").to_numpy()


def test_a_vector_of_another_width_under_the_same_fingerprint_is_refused(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(0, 5), rows_of(5, 5, width=6)])
    fruit = read.open("photos")
    for use in (fruit.to_numpy, lambda: list(fruit._stream(2, False, None).batches())):
        with pytest.raises(InputError, match=r"^features\.photos: vectors of 4 values and of 6$"):
            use()


# Pinned


def test_what_is_published_later_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [3, 4])
    before = read.open("photos")
    publish(settings, tmp_path, [rows_of(50, 2)], DAY, "later")
    assert before.to_numpy().features[:, 0].tolist() == list(range(7))
    assert len(read.open("photos")) == 2
    assert len(read.open("photos", run_id="run")) == len(read.open("photos", snapshot=before.snapshot)) == 7
    with pytest.raises(InputError, match=r"^features\.photos: no snapshot of run gone; it published nothing here, or"):
        read.open("photos", run_id="gone")


def test_a_snapshot_that_expired_since_is_said_in_one_line(settings: Settings, tmp_path: Path) -> None:
    publish_files(settings, tmp_path, [3])
    before = read.open("photos")
    assert len(before) == 3
    file = read.files(settings, "photos")[0]
    publish(settings, tmp_path, [rows_of(50, 2)], DAY, "later")
    Path(file.removeprefix("file://")).unlink()
    with pytest.raises(CatalogRefused) as refused:
        before.to_numpy()
    told = str(refused.value)
    assert told.startswith("features.photos: a file of it is missing (")
    assert f"if snapshot {before.snapshot} has expired since it was opened, open the dataset again; else `" in told
    assert "\n" not in told


# Nothing there


def test_no_rows_are_empty_arrays(settings: Settings, tmp_path: Path) -> None:
    photos_table(settings)
    for nothing in (read.open("photos"), read.open("photos", labels=("kiwi",))):
        assert (len(nothing), nothing.fingerprint, nothing.label_names) == (0, None, ())
        assert [len(array) for array in nothing.to_numpy()] == [0, 0, 0, 0]
        assert list(nothing._stream(2, True, 0).batches()) == []
    publish_files(settings, tmp_path, [3])
    assert read.open("photos", labels=("kiwi",)).to_numpy().label_names == ("apple", "pear")


def test_what_is_no_dataset_is_refused_in_one_line(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^features\.photos: no such dataset is published; nothing is published yet$"):
        read.open("photos")
    publish_files(settings, tmp_path, [3])
    with pytest.raises(InputError, match=r"published; there are: photos \(did you mean photos\?\)$"):
        read.open("fotos")
    tables.open_table(tables.open_catalog(settings), settings, "runs")
    with pytest.raises(InputError, match=r"^features\.runs: no dataset, it has no vectors; use read\.table$"):
        read.open("runs")
    with pytest.raises(InputError, match=r"^features\.photos: no column 'lable'; it has partition_key, "):
        read.open("photos").batches(("lable",))


# pandas


def test_without_pandas_the_remedy_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)  # another test of this process may have loaded it
    publish_files(settings, tmp_path, [3])
    told = r"^to_pandas needs pandas, which is not installed here: python -m pip install pandas$"
    with pytest.raises(InputError, match=told):
        read.open("photos").to_pandas()


def test_a_data_frame_has_the_columns_and_an_array_for_each_vector(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = publish_files(settings, tmp_path, [3, 1500])
    program = """
import json, numpy, sys
from imagefeatures import read
photos = read.open("photos")
frame, two = photos.to_pandas(), photos.to_pandas(columns=("uri", "label"))
arrays = photos.to_numpy()
assert numpy.array_equal(numpy.stack(frame["features"]), arrays.features)
assert frame["uri"].tolist() == two["uri"].tolist() == arrays.uris.tolist()
print(json.dumps([len(frame), list(frame), list(two), str(frame["features"][5].dtype)]))
"""
    monkeypatch.setenv("PYTHONPATH", str(READERS), prepend=":")
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert found.strip() == (str([count, schemas.FEATURES.names, ["uri", "label"], "float32"]).replace("'", '"'))
