"""What is counted of each kind, and the lines that a person reads."""

from __future__ import annotations

from imagefeatures.upkeep.report import Line, Report


def test_a_line_counts_things_their_bytes_and_the_oldest_of_them() -> None:
    line = Line("snapshots")
    assert (line.count, line.size, line.oldest) == (0, 0, None)
    line.add(5)
    assert (line.count, line.size, line.oldest) == (1, 5, None)
    for size, modified in ((7, 20.0), (1, 10.0), (1, 30.0)):
        line.add(size, modified)
    assert (line.count, line.size, line.oldest) == (4, 14, 10.0)


def test_kinds_of_which_there_is_none_are_left_out() -> None:
    report = Report(done=True)
    assert list(report.lines()) == ["removed: nothing"]
    report.kind("snapshots")
    rejects, uploads = report.kind("kept rejects"), report.kind("uploads")
    rejects.add(1_250_000, 86_400.0)
    uploads.count += 1200
    assert report.numbers == {
        "snapshots": {"count": 0, "bytes": 0},
        "kept rejects": {"count": 1, "bytes": 1_250_000},
        "uploads": {"count": 1200, "bytes": 0},
    }
    assert list(report.lines()) == [
        "removed: 1.2 MB",
        "  kept rejects          1        1.2 MB  since 1970-01-02",
        "  uploads           1,200",
    ]


def test_a_dry_run_says_what_would_go_and_what_is_left() -> None:
    report = Report(done=False, refused=["features.x: damaged"], unknown={"nuts", "herbs"})
    left = [
        "  left as it is: features.x: damaged",
        "  left: what herbs has outside of tables; no table and no dataset file is of this name",
        "  left: what nuts has outside of tables; no table and no dataset file is of this name",
    ]
    assert list(report.lines()) == ["would be removed: nothing", *left]
