"""The examples of docs/exports.md for FAISS and WebDataset, and the layout that embedding_reader asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import read
from imagefeatures.settings import REPOSITORY, Settings
from support.exporting import WIDTH, expected, exported, scattered
from support.snippets import section

COUNT = 700


@pytest.fixture
def table(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pa.Table:
    scattered(settings, tmp_path, COUNT)
    monkeypatch.chdir(tmp_path)
    return expected(settings)


def example(title: str) -> str:
    (code,) = (
        code for language, code in section(REPOSITORY / "docs" / "exports.md", title).blocks if language == "python"
    )
    return code


def test_faiss_finds_the_neighbours_that_numpy_finds(settings: Settings, table: pa.Table) -> None:
    exported(settings, "vectors.npy")
    found: dict[str, Any] = {}
    exec(example("FAISS"), found)
    unit = read.vectors(table.combine_chunks())
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    nearest = np.argsort(-(unit @ unit[0]))[:5]
    assert found["neighbours"][0].tolist() == nearest.tolist()
    np.testing.assert_allclose(found["cosines"][0], (unit @ unit[0])[nearest], atol=1e-5)


def test_webdataset_reads_every_sample_in_order(settings: Settings, table: pa.Table) -> None:
    exported(settings, "fruit.tar")
    names = sorted({label for label in table["label"].to_pylist() if label})
    found: dict[str, Any] = {"samples": []}
    exec(f"{example('WebDataset')}    samples.append((vector, label, facts))\n", found)
    assert [facts["uri"] for _, _, facts in found["samples"]] == table["uri"].to_pylist()
    np.testing.assert_array_equal(np.stack([v for v, _, _ in found["samples"]]), read.vectors(table.combine_chunks()))
    numbers = [names.index(label) if label else -1 for label in table["label"].to_pylist()]
    assert [label for _, label, _ in found["samples"]] == numbers


def test_a_folder_of_npy_is_as_embedding_reader_wants_it(settings: Settings, table: pa.Table) -> None:
    exported(settings, "out/", format="npy")
    files = sorted(Path("out/img_emb").iterdir())
    for path in files:
        with path.open("rb") as file:
            assert np.lib.format.read_magic(file) == (1, 0)
            shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
            assert (shape[1], fortran, kind) == (WIDTH, False, np.dtype("<f4"))
        facts = Path("out/metadata") / path.name.replace("img_emb", "metadata").replace(".npy", ".parquet")
        assert facts.is_file()
    assert [path.name for path in files] == sorted(path.name for path in files)
