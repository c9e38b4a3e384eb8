"""What ingest has fetched of a shard is compared with the list of what is forgotten, file by file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from imagefeatures.forget import deny, fetched
from imagefeatures.shards import Receipt, StagedFile, write_parquet


def file(folder: Path, name: str, *rows: tuple[str | None, str], **more: list[str]) -> StagedFile:
    columns = {"image_id": pa.array([image for image, _ in rows], pa.string()), "uri": [uri for _, uri in rows]}
    return write_parquet(f"file://{folder}/{name}.parquet", pa.table(columns | {"size": [1] * len(rows)} | more))


def test_each_file_of_ingest_may_hold_what_is_forgotten(tmp_path: Path) -> None:
    lake = f"file://{tmp_path}/lake"
    deny.add(lake, "one", ["a1", "b1", "c1", "c2"], ["s3://b/late"])
    receipt = Receipt(
        "ingest", 0, 7,
        file(tmp_path, "frozen", ("a1", "s3://b/1"), ("a2", "s3://b/2")),
        file(
            tmp_path, "rejected", ("c1", "s3://b/3"), ("c2", "s3://b/4"), (None, "s3://b/late"),
            reason=["CORRUPT", "FORGOTTEN", "NOT_FOUND"],
        ),
        {}, 0.0, 0.0,
        file(tmp_path, "reused", ("b1", "s3://b/5"), ("b2", "s3://b/6")),
    )  # fmt: skip
    assert fetched.held(receipt, deny.read(lake)) == {"a1", "b1", "c1", None}


def test_a_shard_that_has_frozen_nothing_else_holds_nothing(tmp_path: Path) -> None:
    lake = f"file://{tmp_path}/lake"
    deny.add(lake, "one", ["a1"], [])
    receipt = Receipt("ingest", 0, 1, file(tmp_path, "frozen", ("a2", "s3://b/2")), None, {}, 0.0, 0.0)
    assert fetched.held(receipt, deny.read(lake)) == set()
