"""Which partitions and which of their quarantined objects fit the parameters of a re-drive."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import schemas
from imagefeatures.catalog import standing, tables
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError
from imagefeatures.redrive import choose
from imagefeatures.redrive.selection import PublishedFile
from imagefeatures.run_params import RedriveParams
from imagefeatures.settings import Settings
from support.measured import keep_run, run_row
from support.redriving import small_partition
from support.several import FIRST, SECOND, know_weights

DATASET = Dataset.model_validate({"name": "photos", "source": "s3://b/{partition}/"})


def test_partitions_with_a_matching_object_come_oldest_first(settings: Settings) -> None:
    today = str(dt.datetime.now(dt.UTC).date())
    with tables.open_catalog(settings) as catalog:
        for day, reasons in (
            (today, {"CORRUPT": 1}), ("2026-11-02", {}), ("2026-11-01", {"CORRUPT": 2, "NOT_FOUND": 1}),
        ):  # fmt: skip
            row = run_row("photos", day, 5, quarantined=sum(reasons.values()), reasons=list(reasons.items()))
            keep_run(catalog, settings, row)

    def chosen(**params: str) -> list[str]:
        return choose.partitions(DATASET, RedriveParams.parse(params), settings)

    assert chosen() == ["2026-11-01", today]
    assert chosen(reason="NOT_FOUND") == ["2026-11-01"]
    assert chosen(reason="TIMEOUT") == []
    assert chosen(partition="2026-11-01") == ["2026-11-01"]
    assert chosen(partition="2026-11-02") == []
    assert chosen(partition="today") == [today]
    with pytest.raises(ParamsError) as refused:
        chosen(partition="2026-11-03")
    said = r"partition: 2026-11-03 of photos is not published; run it: "
    assert str(refused.value).startswith(said)
    assert str(refused.value).endswith(" run photos 2026-11-03")


def quarantine(*rows: tuple[str, str, dt.datetime]) -> pa.Table:
    blank = {"partition_key": "p", "dataset": "photos", "step": "ingest", "detail": "", "run_id": "r"}
    content = [blank | {"uri": uri, "reason": reason, "quarantined_at": at} for uri, reason, at in rows]
    return pa.Table.from_pylist(content, schema=schemas.QUARANTINE)


MIDNIGHT = dt.datetime(2026, 11, 2, tzinfo=dt.UTC)
ROWS = quarantine(
    ("s3://b/1", "CORRUPT", MIDNIGHT),
    ("s3://b/2", "CORRUPT", MIDNIGHT - dt.timedelta(microseconds=1)),
    ("s3://b/3", "TIMEOUT", MIDNIGHT + dt.timedelta(days=3)),
)


@pytest.mark.parametrize(
    ("params", "fits"),
    [
        ({}, [True, True, True]),
        ({"reason": "CORRUPT"}, [True, True, False]),
        ({"since": "2026-11-02"}, [True, False, True]),
        ({"uris": ["s3://b/2", "s3://b/3"]}, [False, True, True]),
        ({"reason": "CORRUPT", "since": "2026-11-02"}, [True, False, False]),
        ({"reason": "CORRUPT", "uris": ["s3://b/2", "s3://b/3"]}, [False, True, False]),
        ({"since": "2026-11-02", "uris": ["s3://b/2", "s3://b/3"]}, [False, False, True]),
    ],
)
def test_an_object_must_fit_every_parameter_that_is_given(params: dict[str, Any], fits: list[bool]) -> None:
    assert choose._matching(ROWS, RedriveParams.parse(params)).to_pylist() == fits


def test_what_is_published_inside_a_chosen_archive_is_found_in_the_quarantine_and_in_files(tmp_path: Path) -> None:
    tars = DATASET.model_copy(update={"source": Dataset.model_validate(
        {"name": "photos", "source": {"kind": "tar", "uri": "s3://b/"}}
    ).source})  # fmt: skip
    chosen = quarantine(("s3://b/1.tar", "CORRUPT", MIDNIGHT))
    kept = quarantine(("s3://b/1.tar#a", "CORRUPT", MIDNIGHT), ("s3://b/2.tar#a", "CORRUPT", MIDNIGHT))
    pq.write_table(pa.table({"uri": ["s3://b/1.tar#b", "s3://b/3.tar#b"]}), tmp_path / "1.parquet")
    file = PublishedFile(f"file://{tmp_path}/1.parquet", (tmp_path / "1.parquet").stat().st_size)
    assert list(choose._inside(tars, chosen, kept, [file])) == ["s3://b/1.tar#a", "s3://b/1.tar#b"]
    assert list(choose._inside(DATASET, chosen, kept, [file])) == []


def test_a_partition_that_was_published_in_another_way_is_refused_with_what_differs(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = small_partition(tmp_path / "photos", settings, pixels="keep", limits={"max_rejected": 1})
    real, row = standing.standing, partition.run

    def refusal(dataset: Dataset = partition.dataset, **changed: Any) -> str:
        monkeypatch.setattr(standing, "standing", lambda *given: replace(real(*given), row=row | changed))
        with pytest.raises(ParamsError) as refused:
            choose.choose(dataset, RedriveParams(), partition.key, settings)
        assert str(refused.value).endswith(f" run photos {partition.key}")
        return str(refused.value).removeprefix(f"partition: {partition.key} of photos has ")

    assert refusal(fingerprint="f" * 32).startswith(f"vectors of another fingerprint, {'f' * 32}, than a run computes")
    assert refusal(pixels="f" * 32).startswith(f"pixels of another fingerprint, {'f' * 32}, than a run computes")
    assert refusal(pixels=None).startswith("no pixels, which a run computes now; run the whole partition: ")
    assert refusal(copies=2).startswith("2 copies of each image, and a run makes 0 now; run the whole partition: ")
    know_weights(settings.lake, [FIRST, SECOND])
    wider = partition.dataset.model_copy(update={"model": None, "models": (FIRST, SECOND)})
    assert refusal(wider).startswith(f"no vectors of {SECOND}, which a run computes now")
    further = [(SECOND, "f" * 32)]
    assert refusal(wider, models=further).startswith(f"vectors of another fingerprint, {'f' * 32}, than a run")
    monkeypatch.setattr(standing, "standing", lambda *given: replace(real(*given), row=row | {"copies": 0}))
    selection = choose.choose(partition.dataset, RedriveParams(), partition.key, settings)
    assert selection
    assert selection.replaces == row["run_id"]
    assert (selection.chosen.num_rows, selection.kept.num_rows) == (3, 0)
    assert [file.uri for file in selection.files] == _files(settings, partition.key)
    assert list(selection.others) == ["photos_pixels"]
    monkeypatch.setattr(standing, "standing", lambda *_: None)
    assert choose.choose(partition.dataset, RedriveParams(), partition.key, settings) is None


def test_what_a_killed_register_has_begun_is_finished_before_the_partition_is_looked_at(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(choose.publications, "finish_interrupted", lambda *_: order.append("finished"))
    monkeypatch.setattr(standing, "standing", lambda *_: order.append("asked"))
    assert choose.plan_redrive(DATASET, RedriveParams(), "2026-11-02", settings) is None
    assert order == ["finished", "asked"]


def _files(settings: Settings, partition: str) -> list[str]:
    with tables.open_catalog(settings) as catalog:
        return [uri for uri, _ in standing.files(catalog.load_table("features.photos"), partition)]
