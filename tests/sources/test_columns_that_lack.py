"""A Parquet file among others that has not the columns of the source: a row, unless no file has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagefeatures import manifest
from imagefeatures.errors import InputError, Rejected
from imagefeatures.sources import ParquetBytes
from support.doors import parquet
from support.ingesting import ingested
from support.listing import WORKERS
from support.photos import fill, jpeg
from support.shared import MakeRun

GOOD = {"image": [jpeg(1), jpeg(2)], "id": ["k1", "k2"], "kind": ["fig", "pear"]}
FIELDS: dict[str, Any] = {"key": "id", "label": {"column": "kind"}}


def source_of(folder: Path) -> dict[str, Any]:
    return {"kind": "parquet_bytes", "uri": f"file://{folder}/", **FIELDS}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"image": None, "imag": [b"x"] * 2},
            "there is no column 'image' (did you mean imag?); there are id, kind, imag",
        ),
        ({"image": ["text"] * 2}, "column 'image' is string, and neither bytes nor {bytes, …}"),
        ({"image": [{"path": "x"}] * 2}, "column 'image' is struct<path: string>, and neither bytes nor {bytes, …}"),
        ({"id": None}, "there is no column 'id'"),
        ({"id": [0.1, 0.2]}, "key 'id' is double, which programs write differently as text"),
        ({"kind": None}, "there is no column 'kind'"),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["0.parquet", "9.parquet"])
def test_one_file_of_several_is_a_row_and_no_file_refuses_the_run(
    make_run: MakeRun, tmp_path: Path, change: dict[str, Any], said: str, name: str
) -> None:
    columns = {column: values for column, values in (GOOD | change).items() if values}
    fill(tmp_path, {f"in/{name}": parquet(columns), "in/5.parquet": parquet(GOOD)})
    odd = f"file://{tmp_path}/in/{name}"
    frozen, rejected = ingested(make_run(source_of(tmp_path / "in")))
    assert [row["key"] for row in frozen.values()] == ["k1", "k2"]
    ((uri, (reason, detail)),) = rejected.items()
    assert (uri, reason) == (odd, "CORRUPT")
    assert detail.startswith(said)
    assert detail.endswith("; none of its rows is read")
    (tmp_path / "in" / "5.parquet").unlink()
    fill(tmp_path, {"in/6.parquet": parquet(columns)})
    with pytest.raises(InputError) as refused:
        make_run(source_of(tmp_path / "in"))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_run_is_refused_while_it_lists_where_plan_did_not_look_as_far(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, {f"in/{at}.parquet": parquet({"photo": [b"x"]}) for at in range(3)})
    run = make_run(source_of(fill(tmp_path, {"there/a.parquet": parquet(GOOD)}) / "there"))
    moved = run.model_copy(update={"source": ParquetBytes.model_validate(source_of(tmp_path / "in"))})
    with pytest.raises(InputError, match="there is no column 'image'"):
        manifest.list_source(moved, WORKERS)


def test_a_file_that_is_replaced_by_one_without_the_column_has_changed(tmp_path: Path) -> None:
    path = fill(tmp_path, {"a.parquet": parquet(GOOD)}) / "a.parquet"
    source = ParquetBytes(kind="parquet_bytes", uri=f"file://{path}")
    items = list(source.items())
    path.write_bytes(parquet({"photo": [b"x"] * 2}))
    reasons = [why.reason for why in source.fetch(items, 1 << 20) if isinstance(why, Rejected)]
    assert reasons == ["CHANGED_DURING_RUN"] * 2


def test_a_part_of_a_table_without_the_column_refuses_the_run(make_run: MakeRun, tmp_path: Path) -> None:
    fill(tmp_path, {"in/a.parquet": parquet({"url": ["file:///1"], "k": ["1"]})})
    fill(tmp_path, {"in/b.parquet": parquet({"uri": ["file:///2"], "k": ["2"]})})
    run = make_run({"kind": "url_table", "table": f"file://{tmp_path}/in/", "url": "url", "key": "k"})
    with pytest.raises(InputError, match=r"b\.parquet: there is no column 'url' \(did you mean uri\?\)"):
        manifest.list_source(run, WORKERS)
