"""Which quarantined objects fit a filter, and what downloads hold of them and of an audit's tables."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures.errors import AuditFailed, StoreError
from imagefeatures.settings import Settings
from imagefeatures_airflow.web import access, downloads, quarantine, rows
from imagefeatures_airflow.web.published import Published, Unavailable
from imagefeatures_airflow.web.quarantine import Filter
from support.web import START, runs_row

SECRET, TOLD = "https://me:word@host/a.jpg?key=x", "https://host/a.jpg?…"
USER: Any = None


@pytest.fixture
def runs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Published:
    """Figs of four days, the newest whole; pears; and nuts, which the user may not see."""
    found = Published()
    found["figs"] = [runs_row("figs", "d4", {})]
    found["figs"] += [runs_row("figs", f"d{day}", {"CORRUPT": 1, "TRUNCATED": day}) for day in (3, 2, 1)]
    found["pears"] = [runs_row("pears", "d3", {"TIMEOUT": 2}, finished_at=START + dt.timedelta(hours=9))]
    found["nuts"] = [runs_row("nuts", "d3", {"CRASHED": 2})]
    monkeypatch.setattr(access, "readable", lambda _, names: set(names) - {"nuts"})
    monkeypatch.setattr(rows, "rejected", lambda of: tuple(
        {"uri": f"s3://{of.dataset}/{of.key}/{reason}.jpg", "reason": reason, "detail": f"{reason} of {of.key}"}
        for reason, _ in of.row["reasons"]
    ))  # fmt: skip
    return found


def found(settings: Settings, runs: Published, **wanted: str) -> quarantine.Found:
    return quarantine.find(USER, settings, runs, Filter(**wanted))


def test_the_newest_partitions_are_read_and_all_that_fit_are_listed(settings: Settings, runs: Published) -> None:
    every = found(settings, runs)
    assert (every.datasets, every.reasons) == (["figs", "pears"], ["CORRUPT", "TIMEOUT", "TRUNCATED"])
    assert [(of.dataset, of.key) for of in every.partitions] == [
        ("pears", "d3"), ("figs", "d3"), ("figs", "d2"), ("figs", "d1"),
    ]  # fmt: skip
    assert every.read == every.partitions[:3]
    assert [row["uri"] for _, row in every.objects] == [
        "s3://pears/d3/TIMEOUT.jpg", "s3://figs/d3/CORRUPT.jpg", "s3://figs/d3/TRUNCATED.jpg",
        "s3://figs/d2/CORRUPT.jpg", "s3://figs/d2/TRUNCATED.jpg",
    ]  # fmt: skip
    assert every.cut is False


@pytest.mark.parametrize(
    ("wanted", "partitions", "objects"),
    [
        ({"dataset": "figs"}, ["figs d3", "figs d2", "figs d1"], 6),
        ({"dataset": "pears"}, ["pears d3"], 1),
        ({"dataset": "nuts"}, [], 0),
        ({"partition": "d3"}, ["pears d3", "figs d3"], 3),
        ({"dataset": "figs", "partition": "d2"}, ["figs d2"], 2),
        ({"reason": "TIMEOUT"}, ["pears d3"], 1),
        ({"reason": "CORRUPT"}, ["figs d3", "figs d2", "figs d1"], 3),
        ({"reason": "CORRUPT", "text": "D2"}, ["figs d3", "figs d2", "figs d1"], 1),
        ({"text": "timeout OF"}, ["pears d3", "figs d3", "figs d2", "figs d1"], 1),
        ({"dataset": "figs", "partition": "d4"}, [], 0),
    ],
)
def test_a_filter_chooses(
    settings: Settings, runs: Published, wanted: dict[str, str], partitions: list[str], objects: int
) -> None:
    fits = found(settings, runs, **wanted)
    assert [f"{of.dataset} {of.key}" for of in fits.partitions] == partitions
    assert len(fits.objects) == objects
    assert fits.datasets == ["figs", "pears"]  # what there is to choose stays


def test_more_objects_than_are_read_are_told(
    settings: Settings, runs: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most, cut in ((4, False), (3, True)):  # the partition has four
        monkeypatch.setattr(rows, "MOST_REJECTED", most)
        assert found(settings, runs, dataset="figs", partition="d3").cut == cut


def test_the_partition_that_a_filter_names_is_known_though_it_has_no_objects(
    settings: Settings, runs: Published
) -> None:
    for wanted, key in (
        (Filter("figs", "d4"), "d4"), (Filter("figs", "d1", "TIMEOUT"), "d1"), (Filter("figs", "d5"), None),
        (Filter("figs"), None), (Filter("", "d3"), None), (Filter("nuts", "d3"), None), (Filter("kiwis", "d3"), None),
    ):  # fmt: skip
        of = quarantine.chosen(settings, runs, quarantine.find(USER, settings, runs, wanted), wanted)
        assert (of.key if of else None) == key
    runs["figs"].append(runs_row("figs", "d 5", {"CORRUPT": 1}))  # a name that no run has
    wanted = Filter("figs", "d 5")
    assert quarantine.chosen(settings, runs, quarantine.find(USER, settings, runs, wanted), wanted) is None
    assert [of.key for of in found(settings, runs, dataset="figs").partitions] == ["d3", "d2", "d1"]


def test_what_is_looked_for_is_no_part_of_a_secret(settings: Settings) -> None:
    objects = [{"uri": SECRET, "reason": "CORRUPT", "detail": "a Block"}]
    for text, count in (("", 1), ("HOST", 1), ("block", 1), ("word", 0), ("key=x", 0), ("other", 0)):
        assert len(rows.matching(objects, "", text)) == count
    assert (rows.matching(objects, "CORRUPT", ""), rows.matching(objects, "TIMEOUT", "")) == (objects, [])


def sent(before: tuple[str, ...], *given: dict[str, Any]) -> list[dict[str, str]]:
    async def read() -> str:
        answer = await downloads.csv_of(iter(given), "quarantine", before)
        assert answer.headers["Content-Disposition"] == 'attachment; filename="quarantine.csv"'
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        return "".join([str(part) async for part in answer.body_iterator])

    return list(csv.DictReader(io.StringIO(asyncio.run(read()), newline="")))


def test_rejected_objects_are_sent_without_secrets_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "ROWS", 2)
    one = {"uri": SECRET, "reason": "CORRUPT", "detail": "a block", "step": "resize", "size": None, "image_id": None}
    one |= {"dataset": "figs", "partition_key": "d1"}
    found = sent(("dataset", "partition_key"), *[one | {"partition_key": f"d{day}"} for day in range(5)])
    assert [(row["dataset"], row["partition_key"]) for row in found] == [("figs", f"d{day}") for day in range(5)]
    assert {row["uri"] for row in found} == {TOLD}
    assert [*found[0]][:2] == ["dataset", "partition_key"]
    assert sent(()) == []
    assert "dataset" not in sent((), one)[0]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AuditFailed("file:///run.json is gone"), "The rejected objects cannot be read now: file:///run.json is gone"),
        (StoreError("s3://secret/"), r"The rejected objects cannot be read now (StoreError). The log of Airflow's"),
    ],
)
def test_what_cannot_be_read_is_said_before_anything_is_sent(
    error: Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> Any:
        raise error
        yield

    with pytest.raises(Unavailable) as found:
        asyncio.run(downloads.csv_of(fails(), "quarantine"))
    assert str(found.value).startswith(said)
    assert ("s3://secret/" in caplog.text) == isinstance(error, StoreError)


def test_the_tables_of_an_audit_are_sent_without_secrets(tmp_path: Path) -> None:
    listed = {"uri": [SECRET, "s3://b/1.jpg"], "label": [SECRET, None], "neighbours": [[SECRET, "s3://b/2.jpg"], []]}
    pq.write_table(pa.table(listed), tmp_path / "labels.parquet")
    table = pq.read_table(pa.BufferReader(downloads.without_secrets_in(tmp_path / "labels.parquet")))
    assert table.to_pydict() == {
        "uri": [TOLD, "s3://b/1.jpg"], "label": [SECRET, None], "neighbours": [[TOLD, "s3://b/2.jpg"], []],
    }  # fmt: skip
    pairs = {"uri": [SECRET], "other_uri": pa.array([None], pa.string())}
    pq.write_table(pa.table(pairs), tmp_path / "duplicates.parquet")
    table = pq.read_table(pa.BufferReader(downloads.without_secrets_in(tmp_path / "duplicates.parquet")))
    assert table.to_pydict() == {"uri": [TOLD], "other_uri": [None]}
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        written = csv.writer(file)
        written.writerow(["uri", "label", "neighbours"])
        written.writerow([SECRET, "a, b", f"{SECRET}\ns3://b/2.jpg"])
    text = downloads.without_secrets_in(tmp_path / "labels.csv").decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["uri", "label", "neighbours"], [TOLD, "a, b", f"{TOLD}\ns3://b/2.jpg"],
    ]  # fmt: skip
    (tmp_path / "empty.csv").write_text("")
    assert downloads.without_secrets_in(tmp_path / "empty.csv").strip() == b""
