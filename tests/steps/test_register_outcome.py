"""What register says of a run, in numbers and in one line, and the files that it cleans up after it."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import local, read, schemas, shards
from imagefeatures.catalog import retention
from imagefeatures.errors import AuditFailed, OlderRun
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import featurize, register
from imagefeatures.steps.register import ALREADY, EMPTY, REGISTERED, Outcome
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun

STARTED = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)
ROW: dict[str, Any] = {
    "partition_key": "2026-11-02", "dataset": "fruit", "run_id": "r", "listed": 9, "registered": 6, "reused": 4,
    "quarantined": 3, "redriven": 0, "passed_over": [("pattern", 2), ("exclude", 1)],
    "reasons": [("CORRUPT", 2), ("EMPTY_OBJECT", 1)], "fingerprint": "f", "started_at": STARTED,
    "finished_at": STARTED + dt.timedelta(seconds=41.6), "ingest_seconds": 1.25, "validate_seconds": 2.0,
    "resize_seconds": 3.0, "featurize_seconds": 10.0,
}  # fmt: skip
BUSY = "42 s since plan, workers busy: ingest 1.2, validate 2.0, resize 3.0, featurize 10.0"


def test_the_line_of_a_run_has_all_of_its_numbers() -> None:
    assert str(Outcome(REGISTERED, ROW)) == (
        "registered: features.fruit 2026-11-02: 9 listed = 6 registered (4 reused, 2 computed) "
        f"+ 3 quarantined (CORRUPT 2, EMPTY_OBJECT 1); 3 objects passed over (pattern 2, exclude 1); {BUSY}"
    )
    older = ROW | {
        "reused": None,
        "passed_over": None,
        "redriven": None,
        "reasons": [],
        "quarantined": 0,
    }  # of a version that did not count them
    assert str(Outcome(ALREADY, older)) == (
        f"already registered: features.fruit 2026-11-02: 9 listed = 6 registered + 0 quarantined (none); {BUSY}"
    )
    redriven = str(Outcome(REGISTERED, ROW | {"passed_over": None, "redriven": 5}))
    assert f"+ 3 quarantined (CORRUPT 2, EMPTY_OBJECT 1); 5 of them taken again; {BUSY}" in redriven
    assert str(Outcome(EMPTY, why="3 objects passed over")) == "nothing to register: 3 objects passed over"


def test_the_summary_of_a_run_has_its_counts_and_reasons() -> None:
    expected = {name: ROW[name] for name in ("partition_key", "dataset", "run_id", "listed", "registered", "reused")}
    expected |= {"quarantined": 3, "fingerprint": "f", "computed": 2, "reasons": {"CORRUPT": 2, "EMPTY_OBJECT": 1}}
    expected |= {"passed_over": {"pattern": 2, "exclude": 1}, "redriven": 0}
    assert Outcome(REGISTERED, ROW).summary == expected
    assert Outcome(REGISTERED, ROW | {"reused": None}).summary["computed"] is None


@pytest.fixture
def finished(make_run: MakeRun, tmp_path: Path) -> Callable[..., Run]:
    """finished(**params): a run over two photos, ready to register."""
    photos = fill(tmp_path / "photos", {"a.jpg": jpeg(1), "b.jpg": jpeg(2)})

    def make(**params: object) -> Run:
        run = make_run(photos, {"reuse": False, **params})
        local.run_steps(run, THIS_PROCESS)
        return run

    return make


def test_vectors_that_the_table_had_are_counted_as_reused(finished: Callable[..., Run], settings: Settings) -> None:
    first = register.register(finished().layout.run_file, settings)
    assert (first.summary["reused"], first.summary["computed"]) == (0, 2)
    second = register.register(finished(reuse=True).layout.run_file, settings)
    assert (second.summary["reused"], second.summary["computed"]) == (2, 0)


def test_expired_snapshots_are_cleaned_up_in_all_three_tables_after_the_publication(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned: list[tuple[str, str, int]] = []

    def clean(table: Any, lake: str) -> int:
        cleaned.append((table.name()[-1], lake, len(read.runs(settings))))
        return 0

    monkeypatch.setattr(retention, "remove_expired", clean)
    register.register(finished().layout.run_file, settings)
    assert cleaned == [(name, settings.lake, 1) for name in ("quarantine", "photos", "runs")]


def test_a_clean_up_that_fails_is_a_warning_for_each_table_and_no_error_of_the_run(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> int:
        raise OSError("a message that may hold a password")

    monkeypatch.setattr(retention, "remove_expired", fail)
    with caplog.at_level(logging.WARNING, logger="imagefeatures.catalog.tables"):
        outcome = register.register(finished().layout.run_file, settings)
    assert outcome.state == REGISTERED
    assert [record.getMessage() for record in caplog.records] == [
        f"features.{name}: the files of expired snapshots stay until the next publication (OSError)"
        for name in ("quarantine", "photos", "runs")
    ]


def test_an_older_run_is_refused_before_its_files_are_read(finished: Callable[..., Run], settings: Settings) -> None:
    older, newer = finished(), finished()
    register.register(newer.layout.run_file, settings)
    Path(older.layout.receipt("featurize", 0).removeprefix("file://")).unlink()
    with pytest.raises(OlderRun):
        register.register(older.layout.run_file, settings)


def test_an_object_that_no_table_holds_is_named_and_counted(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = featurize.feature_table

    def elsewhere(*given: Any) -> Any:
        rows = right(*given).to_pylist()
        return schemas.pa.Table.from_pylist([rows[0] | {"uri": "file:///0.jpg"}, *rows[1:]], schema=schemas.FEATURES)

    monkeypatch.setattr(featurize, "feature_table", elsewhere)
    run = finished()
    shard = next(r.shard for r in shards.read_receipts(run.layout, "featurize") if r.output.rows)
    line = rf"^shard {shard}: 2 objects are not in exactly one table, first file:///0\.jpg$"
    with pytest.raises(AuditFailed, match=line):
        register.register(run.layout.run_file, settings)


def test_a_features_file_with_other_columns_refuses_the_run(
    finished: Callable[..., Run], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = featurize.feature_table
    monkeypatch.setattr(featurize, "feature_table", lambda *given: right(*given).drop_columns(["label"]))
    run = finished()
    with pytest.raises(AuditFailed, match=r"^file://.*: columns are not those of features\.photos$"):
        register.register(run.layout.run_file, settings)


def test_counts_that_do_not_add_up_within_a_step_refuse_the_run(
    finished: Callable[..., Run], settings: Settings
) -> None:
    run = finished()
    path = Path(run.layout.receipt("ingest", 0).removeprefix("file://"))
    content = json.loads(path.read_text())
    content["output"]["rows"] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(AuditFailed, match=r"^ingest shard 0: 2 rows in, 3 out, the rest not rejected$"):
        register.register(run.layout.run_file, settings)
