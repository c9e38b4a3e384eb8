"""Exports beside the bare loop of the same library: rows a second, bytes beside the estimate, peak memory.

    python -m benchmarks.exports [rows] [repetitions] [suffix …]    20,000, 3 and all by default; about five minutes
    python -m benchmarks.exports memory rows suffix …               the peak memory of each; a million rows take 10 GB

A bare loop reads the same columns by `read.batches` and hands them to the library, in the order of the files: what a
user would write. It sorts nothing and estimates nothing. Both take turns.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.memory import peak_mib
from imagefeatures import read, schemas
from imagefeatures.catalog import tables
from imagefeatures.exports import export, targets
from imagefeatures.readers import labels
from imagefeatures.settings import REPOSITORY, Settings

WIDTH = 1280
SHARD = 512
DAY = "2026-11-02"
LABEL_NAMES = tuple(f"class-{number:02d}" for number in range(20))
FACTS = [schemas.FEATURES.field(name) for name in schemas.FEATURES.names if name in export.COLUMNS]


def make_table(settings: Settings, folder: Path, rows: int, *, in_order: bool = True) -> None:
    """Publish features.photos with so many rows of WIDTH values, 512 a file, as register publishes a run.

    in_order: URIs follow the files, as those of a folder; else they are scattered over all of them.
    """
    random = np.random.default_rng(0)
    order = np.arange(rows) if in_order else random.permutation(rows)
    base = np.maximum(random.standard_normal((SHARD, WIDTH)), 0).astype(np.float32)  # half are zero, as of a ReLU
    folder.mkdir()
    uris = []
    for first in range(0, rows, SHARD):
        numbers = order[first : first + SHARD].tolist()
        noise = 1 + 0.05 * random.standard_normal((len(numbers), 1)).astype(np.float32)
        vectors = (base[random.permutation(SHARD)[: len(numbers)]] * noise).reshape(-1)
        path = folder / f"shard-{first // SHARD:06d}.parquet"
        pq.write_table(_rows(numbers, vectors), path, compression="zstd", write_page_checksum=True)
        uris.append(f"file://{path}")
    table = tables.open_table(tables.open_catalog(settings), settings, "photos")
    tables.replace_files(table, DAY, uris, "20261102T000000-00000000")


def _rows(numbers: list[int], vectors: np.ndarray) -> pa.Table:
    kind = schemas.FEATURES.field("features").type
    ends = pa.array(np.arange(len(numbers) + 1, dtype=np.int32) * WIDTH)
    columns: dict[str, Any] = {
        "uri": [f"s3://photos/{DAY}/image-{number:09d}.jpg" for number in numbers],
        "image_id": [hashlib.sha256(str(number).encode()).hexdigest() for number in numbers],
        "label": [None if number % 50 == 0 else LABEL_NAMES[number // 1000 % 20] for number in numbers],
        "size": [12_345 + number % 1000 for number in numbers],
        "features": pa.ListArray.from_arrays(ends, pa.array(vectors), type=kind),
    }
    same = {"partition_key": DAY, "width": 640, "height": 480, "mode": "RGB", "etag": None, "model": "mobilenet_v2"}
    same |= {"fingerprint": "f" * 32, "run_id": "20261102T000000-00000000", "key": None, "copy": 0}
    columns |= {
        name: pa.array([value] * len(numbers), schemas.FEATURES.field(name).type) for name, value in same.items()
    }
    return pa.table([columns[name] for name in schemas.FEATURES.names], schema=schemas.FEATURES)


def batches(settings: Settings) -> Iterator[pa.RecordBatch]:
    """What every bare loop reads."""
    return read.batches(settings, "photos", columns=(*export.COLUMNS, "features"))


def bare_npy(settings: Settings, path: Path, rows: int) -> None:
    with path.open("wb") as sink, pq.ParquetWriter(path.with_suffix(".parquet"), pa.schema(FACTS)) as facts:
        np.lib.format.write_array_header_1_0(sink, {"descr": "<f4", "fortran_order": False, "shape": (rows, WIDTH)})
        for batch in batches(settings):
            sink.write(read.vectors(batch).data)
            facts.write_batch(_facts(batch))


def _facts(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.select([field.name for field in FACTS])


def bare_npz(settings: Settings, path: Path, rows: int) -> None:
    table = pa.Table.from_batches(batches(settings)).combine_chunks()
    uri, image_id, width, height = (
        np.array(table[name].to_pylist()) for name in ("uri", "image_id", "width", "height")
    )
    encoded = labels.encode(table["label"].combine_chunks(), LABEL_NAMES)
    np.savez(path, features=read.vectors(table), labels=encoded, uri=uri, image_id=image_id, width=width, height=height)


def bare_hdf5(settings: Settings, path: Path, rows: int) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        text = h5py.string_dtype("utf-8")
        features = file.create_dataset("features", (rows, WIDTH), np.float32, chunks=(256, WIDTH))
        numbers = file.create_dataset("labels", (rows,), np.int64)
        texts = {name: file.create_dataset(name, (rows,), text) for name in ("uri", "image_id", "partition_key")}
        sizes = {name: file.create_dataset(name, (rows,), np.int32) for name in ("width", "height")}
        first = 0
        for batch in batches(settings):
            after = first + batch.num_rows
            features[first:after] = read.vectors(batch)
            numbers[first:after] = labels.encode(batch.column("label"), LABEL_NAMES)
            for name, dataset in texts.items():
                dataset[first:after] = batch.column(name).to_pylist()
            for name, dataset in sizes.items():
                dataset[first:after] = batch.column(name).to_numpy()
            first = after


def bare_arrow(settings: Settings, path: Path, rows: int) -> None:
    columns = pa.schema([*FACTS, schemas.FEATURES.field("features")])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, columns) as writer:
        for batch in batches(settings):
            writer.write_batch(batch.select(columns.names))


def bare_parquet(settings: Settings, path: Path, rows: int) -> None:
    columns = pa.schema([*FACTS, schemas.FEATURES.field("features")])
    with pq.ParquetWriter(path, columns, compression="zstd") as writer:
        for batch in batches(settings):
            writer.write_batch(batch.select(columns.names), row_group_size=8192)


def bare_csv(settings: Settings, path: Path, rows: int) -> None:
    columns = pa.schema([*FACTS, pa.field("features", pa.string())])
    with pa.OSFile(str(path), "wb") as sink, pyarrow.csv.CSVWriter(sink, columns) as writer:
        for batch in batches(settings):
            texts = pa.array([json.dumps(values) for values in read.vectors(batch).tolist()])
            writer.write_batch(pa.RecordBatch.from_arrays([*_facts(batch).columns, texts], schema=columns))


def bare_tfrecord(settings: Settings, path: Path, rows: int) -> None:
    import tensorflow as tf

    def number(value: int) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    def text(value: str) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))

    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch in batches(settings):
            numbers = labels.encode(batch.column("label"), LABEL_NAMES).tolist()
            for values, label, row in zip(read.vectors(batch), numbers, _facts(batch).to_pylist(), strict=True):
                feature = {name: text(row[name]) for name in ("uri", "image_id", "partition_key")}
                feature |= {name: number(row[name]) for name in ("width", "height")} | {"label": number(label)}
                feature["features"] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
                writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def bare_tar(settings: Settings, path: Path, rows: int) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        at = 0
        for batch in batches(settings):
            numbers = labels.encode(batch.column("label"), LABEL_NAMES).tolist()
            for values, label, row in zip(read.vectors(batch), numbers, _facts(batch).to_pylist(), strict=True):
                buffer = io.BytesIO()
                np.save(buffer, values)
                members = {"npy": buffer.getvalue(), "cls": str(label).encode(), "json": json.dumps(row).encode()}
                for suffix, data in members.items():
                    info = tarfile.TarInfo(f"{at:09d}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
                at += 1


BARE: dict[str, Callable[[Settings, Path, int], None]] = {
    "npy": bare_npy,
    "npz": bare_npz,
    "h5": bare_hdf5,
    "arrow": bare_arrow,
    "parquet": bare_parquet,
    "csv": bare_csv,
    "tfrecord": bare_tfrecord,
    "tar": bare_tar,
}
"""The bare loop of each suffix."""


def compare(settings: Settings, suffix: str, rows: int, repetitions: int, folder: Path) -> str:
    """One line: rows a second of both, the ratios of time and of CPU time, and the bytes beside the estimate.

    The ratios are medians over the pairs: those of CPU time depend less on what else the machine does.
    """
    seconds: dict[str, list[tuple[float, float]]] = {"ours": [], "bare": []}
    ready = None
    for _ in range(repetitions):
        for who in seconds:
            out = folder / f"{who}-{suffix}"
            out.mkdir()
            began = time.perf_counter(), time.process_time()
            if who == "ours":
                ready = export.prepare(settings, export.Request("photos", str(out / f"out.{suffix}")))
                size = ready.write()
            else:
                BARE[suffix](settings, out / f"out.{suffix}", rows)
                targets.sync_all(out)  # an export waits for the disk too
            seconds[who].append((time.perf_counter() - began[0], time.process_time() - began[1]))
            for path in out.iterdir():
                path.unlink()
            out.rmdir()
    assert ready is not None  # noqa: S101
    ours, bare = (rows / statistics.median(each for each, _ in times) for times in seconds.values())
    of_time, of_cpu = (
        statistics.median(other[at] / own[at] for own, other in zip(seconds["ours"], seconds["bare"], strict=True))
        for at in (0, 1)
    )
    return (
        f"{suffix:9} {ours:9,.0f} {bare:9,.0f} rows/s  ratio {of_time:5.2f}, of CPU time {of_cpu:5.2f}  "
        f"{size / rows:8,.0f} bytes a row  estimate {ready.bytes / size - 1:+.1%}"
    )


def peak_of(environ: dict[str, str], target: Path) -> tuple[float, float]:
    """The peak memory of one export in a process of its own, in MiB, and its seconds."""
    command = [sys.executable, "-m", "benchmarks.exports", "one", str(target)]
    began = time.perf_counter()
    said = subprocess.check_output(command, env=os.environ | environ, cwd=REPOSITORY, text=True)  # noqa: S603 - this module
    return float(said.splitlines()[-1]), time.perf_counter() - began


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["one"]:
        from imagefeatures import cli

        status = cli.main(["export", "photos", "--to", arguments[1]])
        print(peak_mib())
        sys.exit(status)
    memory = arguments[:1] == ["memory"]
    numbers = arguments[memory:]
    rows = int(numbers[0]) if numbers else 20_000
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as name:
        folder = Path(name)
        (folder / "lake").mkdir()
        environ = {"IMAGEFEATURES_LAKE": f"file://{folder}/lake"}
        environ["IMAGEFEATURES_CATALOG"] = f"sqlite:///{folder}/lake/catalog.db"
        settings = Settings.from_env(environ)
        make_table(settings, folder / "files", rows)
        if memory:
            for suffix in numbers[1:] or ["npy", "h5"]:
                with tempfile.TemporaryDirectory(dir=folder) as place:  # some formats have a second file beside it
                    peak, seconds = peak_of(environ, Path(place, f"out.{suffix}"))
                print(f"{suffix}: {rows:,} rows, {peak:,.0f} MiB, {seconds:,.0f} s", flush=True)
            return
        for suffix in numbers[2:] or BARE:
            print(compare(settings, suffix, rows, int(numbers[1]) if len(numbers) > 1 else 3, folder), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
