"""A lake in which images are planted everywhere, and a search through all of its files for what is left of them."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import local, names, read, storage
from imagefeatures.catalog import learning, tables
from imagefeatures.datasets import Dataset
from imagefeatures.exports import export
from imagefeatures.learning.columns import PREDICTIONS
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.run_params import ForgetParams, RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps import file_index, register
from imagefeatures.steps.index_segments import STORED
from support.photos import jpeg
from support.shared import BUCKET, THIS_PROCESS

DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
DATASETS = ("birds", "fruit")
TABLES = ("birds", "birds_pixels", "fruit", "fruit_pixels", "quarantine", "runs")

Rows = dict[str, dict[tuple[Any, ...], dict[str, Any]]]


@dataclass(frozen=True)
class Planted:
    """Two datasets with three days each; images of them are to be forgotten.

    targets: their bytes by id. Some are no whole pictures, and in the quarantine.
    """

    settings: Settings
    photos: Path
    targets: dict[str, bytes]

    def dataset(self, name: str) -> Dataset:
        return Dataset.model_validate(
            {
                "name": name, "source": f"file://{self.photos}/{name}/{{partition}}/", "pixels": "keep",
                "keep_rejected": True, "limits": {"max_rejected": 0.9},
            }
        )  # fmt: skip

    def ready(self, name: str, day: str, **params: Any) -> Run:
        given = RunParams.parse({"shard_images": 4, **params})
        run = load_run(plan_run(self.dataset(name), given, day, self.settings))
        local.run_steps(run, THIS_PROCESS)
        return run

    def publish(self, name: str, day: str) -> None:
        register.register(self.ready(name, day).layout.run_file, self.settings)

    def rows(self) -> Rows:
        """The rows of all tables, by table and by what tells them apart."""
        return {name: {_key(row): row for row in read.table(self.settings, name).to_pylist()} for name in TABLES}

    def without_targets(self, rows: Rows) -> Rows:
        """The rows that are to stay. Of features.runs, what says how many they are is left out."""
        kept: Rows = {}
        for name, of_table in rows.items():
            kept[name] = {key: row for key, row in of_table.items() if row.get("image_id") not in self.targets}
        counts = {"listed", "registered", "quarantined", "reasons", "reused"}
        kept["runs"] = {key: {n: v for n, v in row.items() if n not in counts} for key, row in kept["runs"].items()}
        return kept

    def needles(self) -> dict[str, bytes]:
        """By what bytes each image is found: id, how it begins, the bytes themselves, vectors and pixels."""
        found = {f"id {image_id[:8]}": image_id.encode() for image_id in self.targets}
        found |= {f"bytes {image_id[:8]}": data for image_id, data in self.targets.items()}
        for name in ("birds", "fruit"):
            table = read.table(self.settings, name)
            keys = file_index.keys(file_index.IMAGES, table).astype(STORED)
            for row, key in zip(table.to_pylist(), keys, strict=True):
                if row["image_id"] in self.targets:
                    found[f"index {row['image_id'][:8]}"] = key.tobytes()
                    found[f"vector {row['image_id'][:8]}"] = np.array(row["features"], "<f4").tobytes()
            for row in read.table(self.settings, f"{name}_pixels").to_pylist():
                if row["image_id"] in self.targets:
                    found[f"pixels {row['image_id'][:8]}"] = row["pixels"]
        return found

    def found(self, needles: dict[str, bytes]) -> list[str]:
        """Where one of these bytes is: in a file as it is stored, or in a column of a Parquet file."""
        return [
            f"{name}: {what}"
            for name, stored in self.stored()
            for data in _contents(stored)
            for what, needle in needles.items()
            if needle in data
        ]

    def stored(self) -> Iterator[tuple[str, bytes]]:
        """Path in the lake and bytes of each of its files, hidden ones too, without the help of `storage`."""
        if not self.settings.lake.startswith("s3://"):
            lake = Path(self.settings.lake.removeprefix("file://"))
            yield from ((str(path.relative_to(lake)), path.read_bytes()) for path in _files(lake))
            return
        client = _client()
        for key in objects(self.settings.lake):
            data = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            yield f"s3://{BUCKET}/{key}".removeprefix(f"{self.settings.lake}/"), data


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in ("dataset", "partition_key", "uri"))


def objects(uri: str) -> list[str]:
    """The keys of the bucket below a URI."""
    prefix = uri.removeprefix(f"s3://{BUCKET}/") + "/"
    pages = _client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [stored["Key"] for page in pages for stored in page.get("Contents", [])]


def _client() -> Any:
    import boto3

    return boto3.client("s3")  # of the environment


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _contents(data: bytes) -> Iterator[bytes]:
    yield data
    if data[:4] == b"PAR1":
        for column in pq.read_table(pa.BufferReader(data)).combine_chunks().columns:
            for chunk in column.chunks:
                yield from (buffer.to_pybytes() for buffer in _buffers(chunk) if buffer)


def _buffers(array: pa.Array) -> list[pa.Buffer]:
    return array.buffers()


def planted(settings: Settings, photos: Path, count: int, others: int = 3) -> Planted:
    """Publish `count` images, each in both datasets and on all days by turns, beside others, and everything else.

    Each fifth is no whole picture. All days are published twice, so that earlier snapshots have all of them, and one of
    those snapshots is tagged; an export, predictions and an unfinished run hold them too.
    """
    targets = {}
    for at in range(count):
        data = jpeg(at, 40, 30)[: -20 if at % 5 == 4 else None]
        targets[hashlib.sha256(data).hexdigest()] = data
        for name in DATASETS:
            storage.write(f"file://{photos}/{name}/{DAYS[at % 3]}/a/{at:02d}.jpg", data)
    for day in DAYS:
        for at in range(others):
            for name in DATASETS:
                storage.write(f"file://{photos}/{name}/{day}/b/{at:02d}.jpg", jpeg(100 + at, 40, 30))
    place = Planted(settings, photos, targets)
    for day in DAYS:
        for name in DATASETS:
            place.publish(name, day)
    for name in DATASETS:
        place.publish(name, DAYS[0])
    with tables.open_catalog(settings) as catalog:
        table = catalog.load_table((names.NAMESPACE, "birds"))
        with table.manage_snapshots() as change:
            change.create_tag(table.metadata.snapshots[1].snapshot_id, "first-days")
    for suffix in ("npy", "parquet", "arrow", "npz"):
        export.prepare(settings, export.Request("birds", f"{settings.lake}/exports/{suffix}/birds.{suffix}")).write()
    storage.write(f"{settings.lake}/exports/notes.txt", f"see file://{photos}/birds/{DAYS[0]}/a/00.jpg".encode())
    _predict(place)
    place.ready("fruit", DAYS[1])
    return place


def _predict(place: Planted) -> None:
    rows = read.table(place.settings, "fruit").to_pylist()
    known = {name: [row[name] for row in rows] for name in ("partition_key", "uri", "image_id", "label", "fingerprint")}
    own = {
        "split": "train", "predicted": "a", "probability": 1.0, "probabilities": [("a", 1.0)], "model_id": "0" * 16,
        "snapshot": 1,
    }  # fmt: skip
    columns = known | {name: [value] * len(rows) for name, value in own.items()}
    with tables.open_catalog(place.settings) as catalog:
        table = learning.open_table(catalog, place.settings, names.predictions("fruit"), PREDICTIONS)
        uri = f"{place.settings.lake}/warehouse/learning/fruit_predictions/data/{'0' * 16}-00000-ab.parquet"
        sink = pa.BufferOutputStream()
        content = pa.table([pa.array(columns[field.name], field.type) for field in PREDICTIONS], schema=PREDICTIONS)
        pq.write_table(content, sink)
        storage.write(uri, sink.getvalue())
        learning.replace_all(table, [uri], "2026-11-03T00:00:00+00:00")


@dataclass(frozen=True)
class Template:
    """A planted lake, and a copy of it from which it is made anew: its tables name their files by absolute URIs.

    folder: `lake` in it holds the catalog, and the lake where that is no bucket's; `copy` is the copy of that.
    """

    place: Planted
    folder: Path

    def restored(self) -> Planted:
        shutil.rmtree(self.folder / "lake")
        shutil.copytree(self.folder / "copy", self.folder / "lake")
        if (lake := self.place.settings.lake).startswith("s3://"):
            storage.delete_folder(lake)
            _copy_objects(f"{lake}-copy", lake)
        return self.place


def template_in(folder: Path, patch: pytest.MonkeyPatch, count: int, others: int, lake: str | None = None) -> Template:
    """A planted lake, which the environment names for as long as the patch holds. lake: None for one in this folder."""
    for name in ("lake", "datasets"):
        (folder / name).mkdir()
    patch.setenv("IMAGEFEATURES_LAKE", lake or f"file://{folder}/lake")
    patch.setenv("IMAGEFEATURES_CATALOG", f"sqlite:///{folder}/lake/catalog.db?timeout=60")
    patch.setenv("IMAGEFEATURES_DATASETS", str(folder / "datasets"))
    patch.setattr(file_index, "FEW", 0)
    place = planted(Settings.from_env(), folder / "photos", count, others)
    shutil.copytree(folder / "lake", folder / "copy")
    if lake:
        _copy_objects(lake, f"{lake}-copy")
    return Template(place, folder)


def _copy_objects(source: str, target: str) -> None:
    old, new = (uri.removeprefix(f"s3://{BUCKET}/") for uri in (source, target))
    client = _client()
    for key in objects(source):
        client.copy_object(Bucket=BUCKET, Key=new + key.removeprefix(old), CopySource={"Bucket": BUCKET, "Key": key})


def check_forgotten(place: Planted, before: Any, needles: dict[str, bytes]) -> None:
    """Nothing of the images is found, all other rows are there, and what counts them is right."""
    assert place.found(needles) == []
    rows = place.rows()
    assert place.without_targets(rows) == place.without_targets(before)
    assert not any(row.get("image_id") in place.targets for of_table in rows.values() for row in of_table.values())
    for row in rows["runs"].values():
        own = [one for one in rows["quarantine"].values() if _of(one, row)]
        features = [one for one in rows[row["dataset"]].values() if one["partition_key"] == row["partition_key"]]
        assert (row["registered"], row["quarantined"]) == (len(features), len(own))
        assert row["listed"] == row["registered"] + row["quarantined"]
        assert dict(row["reasons"]) == Counter(one["reason"] for one in own)
        assert row["reused"] <= row["registered"]


def _of(row: dict[str, Any], run: dict[str, Any]) -> bool:
    return all(row[name] == run[name] for name in ("dataset", "partition_key"))


def request(targets: Any, **fields: Any) -> ForgetParams:
    given = {"image_ids": list(targets), "why": "asked to", "dry_run": False, **fields}
    return ForgetParams.parse(given)
