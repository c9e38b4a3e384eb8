"""Every Python example of the documents is run unchanged against the session's published tables.

The one that needs PyTorch has the language "py": `make test-readers` runs it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from demo import photos
from deploy.local.environment import READERS
from imagefeatures import read
from support.airflow_session import Deployment
from support.snippets import DOCUMENTS, sections

Snippet = tuple[str, str, int]
"""Document, section, and index among the section's Python blocks."""

ELSEWHERE = ("exports.md",)
"""Documents whose examples are run by other tests: they read files, and no table."""

SNIPPETS: dict[Snippet, str] = {
    (path.name, part.title, at): code
    for path in DOCUMENTS
    if path.name not in ELSEWHERE
    for part in sections(path)
    for at, code in enumerate(code for language, code in part.blocks if language == "python")
}


@dataclass(frozen=True)
class Truth:
    """What the examples must find.

    labels: URI of each good file to its label. reasons: URI of each bad file to its reason. rows: of the table, by URI.
    stray: URI of a features file that no snapshot names, such as a failed run leaves behind.
    """

    labels: dict[str, str]
    reasons: dict[str, str]
    rows: list[dict[str, Any]]
    stray: str

    @property
    def per_label(self) -> list[tuple[str, int]]:
        return sorted(Counter(self.labels.values()).items())


@pytest.fixture(scope="module")
def truth(published: dict[str, Any], layout: tuple[Path, list[photos.Day]], deployment: Deployment) -> Iterator[Truth]:
    folder, days = layout
    labels, reasons = {}, {}
    for day in days:
        if day.partition not in published:
            continue
        place = folder / photos.DATASET / day.partition
        for path in (path for path in place.rglob("*") if path.is_file()):
            name = path.relative_to(place).as_posix()
            if name in day.bad:
                reasons[f"file://{path}"] = day.bad[name]
            else:
                labels[f"file://{path}"] = path.parent.name
    rows = read.table(deployment.settings, photos.DATASET).sort_by("uri").to_pylist()
    lake = Path(deployment.settings.lake.removeprefix("file://"))
    published_file = next((lake / "warehouse/features/fruit/data").rglob("*.parquet"))
    stray = published_file.with_name("20200101T000000-0badf00d-shard-00000-0badf00d.parquet")
    stray.write_bytes(published_file.read_bytes())
    os.utime(stray, (1.6e9, 1.6e9))
    yield Truth(labels, reasons, rows, f"file://{stray}")
    stray.unlink()


@pytest.fixture
def run(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[[Snippet], dict[str, Any]]:
    """run(snippet): the variables that it has set, and as `printed` the lines that it printed."""

    def execute(snippet: Snippet) -> dict[str, Any]:
        for name in ("PYSPARK_PYTHON", "SPARK_LOCAL_IP", "SPARK_SUBMIT_OPTS"):
            monkeypatch.setenv(name, deployment.env[name])
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(READERS)  # a reader has pandas, the service does not
        names: dict[str, Any] = {"__name__": "__main__"}
        try:
            exec(compile(SNIPPETS[snippet], f"{snippet[0]}: {snippet[1]}", "exec"), names)
        finally:
            if "spark" in names:
                names["spark"].stop()
        return names | {"printed": capsys.readouterr().out.splitlines()}

    return execute


def numpy_holds_every_image_once(found: dict[str, Any], truth: Truth) -> None:
    assert dict(zip(found["uris"], found["labels"], strict=True)) == truth.labels
    assert len(found["uris"]) == len(truth.labels)
    assert found["features"].shape == (len(truth.labels), 1280)
    assert found["features"].dtype == np.float32
    order = np.argsort(found["uris"])
    np.testing.assert_array_equal(found["features"][order], vectors(truth))


def numpy_streams_one_partition(found: dict[str, Any], truth: Truth) -> None:
    of_the_day = ["/2026-11-02/" in row["uri"] for row in truth.rows]
    assert 0 < found["count"] == sum(of_the_day) < len(truth.rows)
    np.testing.assert_allclose(found["mean"], vectors(truth)[of_the_day].mean(axis=0), rtol=0, atol=1e-4)


def arrays_hold_every_image_with_its_label(found: dict[str, Any], truth: Truth) -> None:
    names, labels = found["label_names"], found["labels"]
    assert names == tuple(sorted(set(truth.labels.values())))
    assert {uri: names[at] for uri, at in zip(found["uris"], labels, strict=True)} == truth.labels
    order = np.argsort(found["uris"])
    np.testing.assert_array_equal(found["features"][order], vectors(truth))


def a_frame_holds_every_image(found: dict[str, Any], truth: Truth) -> None:
    frame = found["frame"].sort_values("uri")
    assert list(frame) == ["uri", "label", "width", "height", "features"]
    assert dict(zip(frame["uri"], frame["label"], strict=True)) == truth.labels
    np.testing.assert_array_equal(np.stack(list(frame["features"])), vectors(truth))


def tensorflow_learns_the_fruit(found: dict[str, Any], truth: Truth) -> None:
    assert found["accuracy"] > 0.8
    assert found["head"].layers[0].kernel.shape == (1280, len(set(truth.labels.values())))


def a_split_parts_the_images_by_their_bytes(found: dict[str, Any], truth: Truth) -> None:
    below = sum(row["image_id"] < "3333333333333333" for row in truth.rows)
    assert (len(found["test"]), len(found["train"])) == (below, len(truth.rows) - below)
    assert 0 < below < len(truth.rows) / 2


def pandas_holds_one_partition(found: dict[str, Any], truth: Truth) -> None:
    frame = found["frame"].set_index("uri")
    assert dict(frame["label"]) == {uri: label for uri, label in truth.labels.items() if "/2026-11-02/" in uri}
    odd = frame.index.str.endswith("-16-bit.png")
    assert odd.sum() == 1
    assert set(frame["mode"][odd]) == {"I;16"}
    assert set(frame["mode"][~odd]) == {"RGB"}
    assert (frame[["width", "height"]] > 100).all(axis=None)


def duckdb_counts_and_finds_neighbours(found: dict[str, Any], truth: Truth) -> None:
    assert found["per_label"] == truth.per_label
    unit = vectors(truth) / np.linalg.norm(vectors(truth), axis=1, keepdims=True)
    cosines = unit[1:] @ unit[0]
    nearest = np.argsort(-cosines)[:5]
    assert [uri for uri, _ in found["nearest"]] == [truth.rows[at + 1]["uri"] for at in nearest]
    np.testing.assert_allclose([cosine for _, cosine in found["nearest"]], cosines[nearest], rtol=0, atol=1e-4)


def spark_counts(found: dict[str, Any], truth: Truth) -> None:
    assert [tuple(row) for row in found["per_label"]] == truth.per_label


def spark_has_every_image_or_its_reason(found: dict[str, Any], truth: Truth) -> None:
    labels = {uri: label for uri, label in truth.labels.items() if "/2026-11-02/" in uri}
    reasons = {uri: reason for uri, reason in truth.reasons.items() if "/2026-11-02/" in uri}
    assert found["pictures"].columns == ["label", "image"]
    sizes = {row["uri"]: row for row in found["sizes"]}
    assert sizes.keys() == labels.keys() | reasons.keys()
    rejected = {uri: row["reason"] for uri, row in sizes.items() if row["reason"]}
    assert rejected
    assert rejected.items() <= reasons.items()  # what only decoding finds has no reason yet
    published = {row["uri"]: (row["label"], row["width"], row["height"]) for row in truth.rows if row["uri"] in labels}
    assert {uri: (sizes[uri]["label"], sizes[uri]["width"], sizes[uri]["height"]) for uri in labels} == published


def runs_are_printed(found: dict[str, Any], truth: Truth) -> None:
    expected = []
    for day in sorted({row["partition_key"] for row in truth.rows}, reverse=True):
        reasons = dict(Counter(reason for uri, reason in truth.reasons.items() if f"/{day}/" in uri))
        registered = sum(f"/{day}/" in uri for uri in truth.labels)
        expected.append(f"{day} {registered + sum(reasons.values())} {registered} {reasons}")
    assert found["printed"] == expected


def reasons_are_counted_with_an_example(found: dict[str, Any], truth: Truth) -> None:
    counts = Counter(truth.reasons.values())
    assert {(reason, count) for reason, count, _, _ in found["by_reason"]} == set(counts.items())
    for reason, _, uri, detail in found["by_reason"]:
        assert truth.reasons[uri] == reason
        assert detail
    assert len(found["printed"]) == len(counts)


def the_tagged_snapshot_is_the_current_one(found: dict[str, Any], truth: Truth) -> None:
    table = found["table"].refresh()
    (tag,) = (name for name in table.refs() if name != "main" and not name.startswith("run-"))
    assert table.refs()[tag].snapshot_id == table.current_snapshot().snapshot_id
    assert found["printed"] == [str(len(truth.labels))]


def only_the_stray_file_would_be_removed(found: dict[str, Any], truth: Truth) -> None:
    stray = Path(truth.stray.removeprefix("file://"))
    assert found["report"].numbers["files of no snapshot"] == {"count": 1, "bytes": stray.stat().st_size}
    assert found["printed"][0].startswith("would be removed: ")
    assert stray.exists()


def a_local_run_gives_what_airflow_and_spark_gave(found: dict[str, Any], truth: Truth) -> None:
    """Every vector is reused; all else is made anew, and is the same but for the run."""
    day = "2026-11-01"
    expected = [row | {"run_id": ""} for row in truth.rows if row["partition_key"] == day]
    summary = found["done"].outcome.summary
    assert summary["registered"] == summary["reused"] == len(expected)
    rows = read.table(found["settings"], photos.DATASET, partitions=(day,)).sort_by("uri").to_pylist()
    assert {row["run_id"] for row in rows} == {summary["run_id"]}
    assert [row | {"run_id": ""} for row in rows] == expected


def every_run_has_a_price(found: dict[str, Any], truth: Truth) -> None:
    """The runs went through Airflow and Spark: core time of the JVM is in it, and the money is small."""
    days = {row["partition_key"] for row in truth.rows}
    assert len(found["printed"]) >= len(days)
    lines = [line.split() for line in found["printed"]]  # of other tests' datasets too
    own = [line for line in lines if line[0] == photos.DATASET]
    assert {partition for _, partition, _, _ in own} == days
    for _, _, core_seconds, money in own:
        assert 5 < float(core_seconds) < 10_000
        assert 0 < float(money) < 10_000


def an_audit_names_images_of_the_table(found: dict[str, Any], truth: Truth) -> None:
    uris = set(truth.labels)
    assert 0 < found["doubts"].num_rows <= len(uris)
    assert set(found["doubts"]["uri"].to_pylist()) <= uris
    assert set(found["pairs"]["uri"].to_pylist()) <= uris


CHECKS: dict[Snippet, Callable[[dict[str, Any], Truth], None]] = {
    ("tables.md", "NumPy", 0): numpy_holds_every_image_once,
    ("reading.md", "NumPy", 0): arrays_hold_every_image_with_its_label,
    ("reading.md", "pandas", 0): a_frame_holds_every_image,
    ("reading.md", "TensorFlow", 0): tensorflow_learns_the_fruit,
    ("reading.md", "Training and test rows", 0): a_split_parts_the_images_by_their_bytes,
    ("tables.md", "NumPy, larger than memory", 0): numpy_streams_one_partition,
    ("tables.md", "pandas, without this package", 0): pandas_holds_one_partition,
    ("tables.md", "DuckDB, over the files", 0): duckdb_counts_and_finds_neighbours,
    ("tables.md", "Spark, over the files", 0): spark_counts,
    ("spark.md", "Read a partition", 0): spark_has_every_image_or_its_reason,
    ("tables.md", "All runs at a glance", 0): runs_are_printed,
    ("audits.md", "In Python", 0): an_audit_names_images_of_the_table,
    ("running.md", "What a run costs", 0): every_run_has_a_price,
    ("troubleshooting.md", "Reason codes", 0): reasons_are_counted_with_an_example,
    ("maintenance.md", "The past of a table", 0): the_tagged_snapshot_is_the_current_one,
    ("maintenance.md", "Upkeep", 0): only_the_stray_file_would_be_removed,
    ("local.md", "From a notebook or a debugger", 0): a_local_run_gives_what_airflow_and_spark_gave,
}


def test_every_example_has_a_check() -> None:
    assert set(CHECKS) == set(SNIPPETS)


@pytest.mark.parametrize("snippet", CHECKS, ids=lambda snippet: f"{snippet[1]} {snippet[2] + 1}")
def test_the_example_gives_what_the_text_says(
    snippet: Snippet, run: Callable[[Snippet], dict[str, Any]], truth: Truth
) -> None:
    CHECKS[snippet](run(snippet), truth)


def vectors(truth: Truth) -> np.ndarray:
    """The table's vectors in order of URI: float32 [n, 1280]."""
    return np.array([row["features"] for row in truth.rows], np.float32)
