"""What a re-drive takes again is read as plan wrote it, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures import read, schemas, sealed, storage
from imagefeatures.errors import AuditFailed, StoreRefused
from imagefeatures.layout import Layout
from imagefeatures.redrive import selection
from imagefeatures.redrive.selection import PublishedFile, Selection
from support.growing import rejected_row
from support.publishing import features_file

NONE = sealed.text_of_table(schemas.QUARANTINE.empty_table())
WHOLE = {"replaces": "r", "files": [], "chosen": NONE, "kept": NONE, "inside": [], "sample": 1, "others": {}}
AT = schemas.QUARANTINE.get_field_index("detail")
LISTS = rejected_row("photos", "r").set_column(AT, "detail", pa.array([["a list"]]))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(f"file://{tmp_path}", "photos", "2026-11-02", "20261103T000000-0a1b2c3d")


def test_a_selection_is_read_as_it_was_written(layout: Layout) -> None:
    written = Selection(
        "r", [PublishedFile("file:///1.parquet", 7)], rejected_row("photos", "r"), rejected_row("photos", "s"),
        ["s3://b/1.tar#a"], 0.5, {"photos_pixels": [PublishedFile("file:///2.parquet", 8)]},
    )  # fmt: skip
    selection.write(layout, written)
    found = selection.selected(layout, "r")
    assert (found.replaces, found.files, found.inside, found.sample, found.others) == (
        written.replaces, written.files, written.inside, written.sample, written.others,
    )  # fmt: skip
    assert found.chosen["run_id"].to_pylist() == ["r"]
    assert found.kept["run_id"].to_pylist() == ["s"]
    assert Selection("r", [], found.chosen, found.kept).sample == 1


def test_a_selection_of_an_earlier_version_has_no_other_tables(layout: Layout) -> None:
    storage.write(layout.redrive, sealed.encode({name: WHOLE[name] for name in WHOLE if name != "others"}))
    assert selection.selected(layout, "r").others == {}


@pytest.mark.parametrize(
    "change",
    [
        {"replaces": "another"}, {"files": [[1]]}, {"files": [7]}, {"chosen": "no base64"}, {"chosen": "A"},
        {"kept": 7}, {"others": []}, {"chosen": sealed.text_of_table(LISTS)},
    ],
)  # fmt: skip
def test_a_selection_that_does_not_make_sense_is_refused(layout: Layout, change: dict[str, Any]) -> None:
    storage.write(layout.redrive, sealed.encode(WHOLE | change))
    with pytest.raises(AuditFailed, match=r"/redrive\.json: it is not as plan wrote it; start a new re-drive$"):
        selection.selected(layout, "r")


def test_a_selection_that_lacks_something_or_is_gone_is_refused(layout: Layout) -> None:
    with pytest.raises(AuditFailed, match=r"/redrive\.json: it was written, and is gone; start a new re-drive$"):
        selection.selected(layout, "r")
    storage.write(layout.redrive, sealed.encode({"replaces": "r"}))
    with pytest.raises(AuditFailed, match="it is not as plan wrote it"):
        selection.selected(layout, "r")


def test_rows_of_a_published_file_have_todays_columns(tmp_path: Path) -> None:
    uri = features_file(tmp_path, "r", rows=2)
    file = PublishedFile(uri, Path(uri.removeprefix("file://")).stat().st_size)
    (batch,) = selection.published_rows(file, ("uri", "key"))
    assert batch.to_pydict() == {"uri": ["s3://b/0", "s3://b/1"], "key": [None, None]}


@pytest.mark.parametrize(
    "error", [storage.ObjectMissing("1"), StoreRefused("2"), pa.ArrowNotImplementedError("3"), OSError("4")]
)
def test_a_published_file_that_cannot_be_read_is_named(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(read, "file_batches", fails)
    said = rf"^file:///1\.parquet: this file of the published partition cannot be read \({type(error).__name__}\); run"
    with pytest.raises(AuditFailed, match=said):
        list(selection.published_rows(PublishedFile("file:///1.parquet", 1), ("uri",)))
