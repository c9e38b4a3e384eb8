"""The lines of a report: what was done, and what is left to its owners."""

from __future__ import annotations

from imagefeatures.forget.report import Report

LAST = (
    "  not searched: backups of the lake, what was read or exported elsewhere, logs, saved maps and reports, and "
    "thumbnails in the cache folders of other machines, where no page shows them any more"
)


def test_a_report_of_nothing_counts_nothing() -> None:
    report = Report("r", 1, 0, done=False)
    assert report.counts == {
        "rows": 0, "files_rewritten": 0, "files_deleted": 0, "runs_removed": 0, "snapshots_expired": 0,
    }  # fmt: skip
    assert list(report.lines()) == ["would be forgotten, request r: 1 images and 0 URIs, in no table", LAST]


def test_a_report_names_what_was_done_and_each_place_by_its_kind() -> None:
    report = Report(
        "r", 2, 3, done=True, rows=4, files_rewritten=5, files_deleted=6, runs_removed=7, snapshots_expired=8,
        tables={"features.b", "features.a"}, exports={"x/2", "x/1"}, runs={"run"}, rejects={"reject"}, maps={"map"},
        sources={"s3://b/1"}, classifiers={"model"}, foreign={"notes"}, unreadable={"cut"}, versioned="s3://lake",
    )  # fmt: skip
    assert report.counts == {
        "rows": 4, "files_rewritten": 5, "files_deleted": 6, "runs_removed": 7, "snapshots_expired": 8,
    }  # fmt: skip
    assert list(report.lines()) == [
        "forgotten, request r: 2 images and 3 URIs, in features.a, features.b",
        "  4 rows removed, 5 files written anew, 6 files deleted, 8 snapshots expired, 7 unfinished runs removed",
        "  x/1: an export, which is to be made again",
        "  x/2: an export, which is to be made again",
        "  run: an unfinished run, which cannot go on then: start a new one",
        "  reject: a kept reject",
        "  map: a feature map",
        "  s3://b/1: at the source, which is not touched",
        "  model: a classifier that was fitted to the dataset: fit it again, or delete it",
        "  notes: holds one, and is no export and of no table of this service: delete it, or the rows of the table "
        "that it is of",
        "  cut: cannot be searched; look at it",
        "  s3://lake: a bucket that keeps versions still has the deleted bytes; delete those versions",
        LAST,
    ]
