"""Rows that are copied into a re-drive's publication are those of the published run, and none that was taken again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from imagefeatures import schemas
from imagefeatures.errors import AuditFailed
from imagefeatures.redrive import merge
from imagefeatures.redrive.selection import PublishedFile, Selection
from support.publishing import features_file

RUN = cast("Any", SimpleNamespace(partition="2026-11-02", tables=("photos", "photos__resnet50")))
DROPPED = cast("Any", SimpleNamespace(table_exists=lambda _: False))
"""A catalog that has none of the tables: their files are as the selection has them."""

NONE = schemas.QUARANTINE.empty_table()


def checked(
    files: dict[str, PublishedFile], table: str = "photos", fingerprint: str = "f", taken: tuple[str, ...] = ()
) -> Iterator[pa.RecordBatch]:
    output = cast("Any", SimpleNamespace(table=table, kind=None, fingerprint=fingerprint))
    others = {name: [file] for name, file in files.items() if name != "photos"}
    selection = Selection("published", [files["photos"]], NONE, NONE, others=others)
    return merge._checked(RUN, output, selection, pa.array(taken, pa.string()), DROPPED)


def published(folder: Path, **given: Any) -> PublishedFile:
    uri = features_file(folder, **{"run_id": "published", **given})
    return PublishedFile(uri, Path(uri.removeprefix("file://")).stat().st_size)


def test_each_table_has_its_own_files(tmp_path: Path) -> None:
    files = {"photos": published(tmp_path, rows=2), "photos__resnet50": published(tmp_path, rows=3)}
    for table, count in (("photos", 2), ("photos__resnet50", 3), ("photos__vgg16", 0)):
        batches = list(checked(files, table, taken=("s3://b/9",)))
        assert sum(batch.num_rows for batch in batches) == count
        assert all(batch.schema.names == schemas.FEATURES.names for batch in batches)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"run_id": "other"}, r"run_id holds \['other'\], the published run's is published$"),
        ({"partition": "2026-11-03"}, r"partition_key holds \['2026-11-03'\], the published run's is 2026-11-02$"),
    ],
)
def test_a_row_of_another_run_or_partition_is_refused_by_its_file(
    tmp_path: Path, given: dict[str, str], said: str
) -> None:
    file = published(tmp_path, **given)
    with pytest.raises(AuditFailed, match=rf"^{file.uri}: {said}"):
        list(checked({"photos": file}))


def test_a_row_of_another_fingerprint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditFailed, match=r"fingerprint holds \['f'\], the published run's is g$"):
        list(checked({"photos": published(tmp_path)}, fingerprint="g"))


def test_an_object_that_was_taken_again_is_not_published_as_it_is(tmp_path: Path) -> None:
    file = published(tmp_path)
    with pytest.raises(AuditFailed, match=rf"^{file.uri}: an object that was taken again is published as it is; start"):
        list(checked({"photos": file}, taken=("s3://b/1",)))
