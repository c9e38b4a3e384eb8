"""Every Python example of docs/exports.md reads an export as the text says. Two are run by tests/suites/exports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from deploy.local.environment import READERS
from imagefeatures import read
from imagefeatures.settings import REPOSITORY, Settings
from support.exporting import WIDTH, expected, exported, scattered
from support.snippets import sections

EXAMPLES = {
    part.title: code
    for part in sections(REPOSITORY / "docs" / "exports.md")
    for language, code in part.blocks
    if language == "python"
}

IN_THE_SUITE = {"WebDataset", "FAISS"}
"""Their libraries are in no environment of ours."""

COUNT = 300

Found = dict[str, Any]


@pytest.fixture
def run(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Found]:
    """run(title, name=what Export takes, …): the variables of the example, where these exports are."""

    def execute(title: str, **targets: dict[str, Any]) -> Found:
        for name, request in targets.items():
            exported(settings, tmp_path / name.replace("_", "."), **request)
        monkeypatch.chdir(tmp_path)
        found: Found = {}
        exec(
            compile(EXAMPLES[title].replace('"fruit")', '"photos")').replace('"fruit",', '"photos",'), title, "exec"),
            found,
        )
        return found

    return execute


@pytest.fixture
def table(settings: Settings, tmp_path: Path) -> pa.Table:
    scattered(settings, tmp_path, COUNT)
    return expected(settings)


def vectors(table: pa.Table) -> np.ndarray:
    return read.vectors(table.combine_chunks())


def numbers(table: pa.Table) -> list[int]:
    names = sorted({label for label in table["label"].to_pylist() if label})
    return [names.index(label) if label else -1 for label in table["label"].to_pylist()]


def test_every_example_is_run() -> None:
    here = {"HDF5", "NumPy", "NumPy, all in one file", "TensorFlow", "pandas", "Arrow", "Principal components"}
    assert here | IN_THE_SUITE == set(EXAMPLES)


def test_hdf5(table: pa.Table, run: Callable[..., Found]) -> None:
    found = run("HDF5", fruit_h5={})
    np.testing.assert_array_equal(found["features"], vectors(table))
    assert found["labels"].tolist() == numbers(table)
    assert found["label_names"].tolist() == ["apple", "pear", "Äpfel, grün"]
    assert found["uris"].tolist() == table["uri"].to_pylist()
    assert found["fingerprint"] == "f" * 32


def test_numpy(table: pa.Table, run: Callable[..., Found]) -> None:
    found = run("NumPy", vectors_npy={})
    assert isinstance(found["features"], np.memmap)
    np.testing.assert_array_equal(found["features"], vectors(table))
    assert found["facts"]["uri"].equals(table["uri"])


def test_numpy_in_one_file(table: pa.Table, run: Callable[..., Found]) -> None:
    found = run("NumPy, all in one file", fruit_npz={})
    np.testing.assert_array_equal(found["features"], vectors(table))
    assert found["labels"].tolist() == numbers(table)
    assert found["uris"].tolist() == table["uri"].to_pylist()
    assert found["label_names"][numbers(table)[0]] == (table["label"][0].as_py() or found["label_names"][-1])


def test_tensorflow(table: pa.Table, run: Callable[..., Found]) -> None:
    batches = list(run("TensorFlow", fruit_tfrecord={})["dataset"].as_numpy_iterator())
    assert [len(labels) for _, labels in batches] == [256, COUNT - 256]
    np.testing.assert_array_equal(np.concatenate([features for features, _ in batches]), vectors(table))
    assert np.concatenate([labels for _, labels in batches]).tolist() == numbers(table)


def test_pandas(table: pa.Table, run: Callable[..., Found], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(READERS)  # a reader has pandas, the service does not
    found = run("pandas", fruit_parquet={}, fruit_csv={"components": 5, "flat": True})
    np.testing.assert_array_equal(np.stack(found["frame"]["features"]), vectors(table))
    assert found["frame"]["uri"].tolist() == table["uri"].to_pylist() == found["flat"]["uri"].tolist()
    assert list(found["flat"].columns[-5:]) == [f"pc{at}" for at in range(5)]


def test_arrow(table: pa.Table, run: Callable[..., Found]) -> None:
    np.testing.assert_array_equal(run("Arrow", fruit_arrow={})["features"], vectors(table))


def test_components_of_other_vectors(settings: Settings, table: pa.Table, run: Callable[..., Found]) -> None:
    found = run("Principal components", fruit_csv={"components": 50 if WIDTH > 50 else 7, "flat": True})
    assert found["components"].shape[1] == 7
    assert found["components"].dtype == np.float32
