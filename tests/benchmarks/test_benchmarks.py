"""The benchmark's photos, arithmetic and report. Nothing here is timed."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import arithmetic, limits, photos, report
from benchmarks.arithmetic import Ratio, Spread
from imagefeatures import images
from imagefeatures.limits import Limits
from imagefeatures.settings import REPOSITORY
from support.shared import decode


def jpeg(color: str) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (40, 30), color).save(sink, "JPEG")
    return sink.getvalue()


def results() -> dict:
    """Results of two repetitions in which every rate is 100 images a second, the notebook's 10."""
    rates = {name: [100.0, 100.0] for name in report.NAMES} | {"notebook": [10.0, 10.0]}
    return {
        "made_at": "2026-11-21 16:30 UTC",
        "asked": {"images": 1000, "whole": 2000, "repetitions": 2, "curve": []},
        "machine": {"cores": 2, "cpu": "some", "memory_gb": 24, "load": [0.5, 2.0]},
        "rates": rates,
        "walls": {name: [1000 / rate for rate in column] for name, column in rates.items()},
        "whole_rates": {name: rates[name] for name in report.CONTESTANTS},
        "curve": [(20, 30.2), (1000, 40.0), (2000, 50.0)],
        "tasks": {"ingest": 6.0},
        "agreement": {"daft": 0.99, "ray": 1.0, "notebook": 1.0},
        "least_cosine": 0.999,
        "versions": {"python": "3.11"},
    }


def test_a_comment_makes_another_file_of_the_same_pixels() -> None:
    plain = jpeg("teal")
    marked = [photos.with_comment(plain, f"copy {number}") for number in range(3)]
    assert len({hashlib.sha256(data).digest() for data in [plain, *marked]}) == 4
    with Image.open(io.BytesIO(marked[2])) as image:
        assert image.info["comment"] == b"copy 2"
    expected = decode(plain, Limits()).pixels
    for data in marked:
        images.inspect(data, Limits())
        np.testing.assert_array_equal(decode(data, Limits()).pixels, expected)


def test_what_is_no_jpeg_gets_no_comment() -> None:
    with pytest.raises(ValueError, match="not a JPEG"):
        photos.with_comment(b"\x89PNG", "copy 0")


def test_photos_are_laid_out_in_every_size_and_all_differ(tmp_path: Path) -> None:
    some = [("apple", jpeg("red")), ("pear", jpeg("green"))]
    folders = photos.lay_out(some, tmp_path, [5, 2])
    files = {size: sorted(folder.rglob("*.jpg")) for size, folder in folders.items()}
    assert {size: len(listed) for size, listed in files.items()} == {5: 5, 2: 2}
    assert len({file.read_bytes() for file in files[5]}) == 5
    assert all(file.stat().st_nlink == 2 for file in files[2])
    assert {file.parent.name for file in files[5]} == {"apple", "pear"}


def decode_loop(folder: Path, missing: int) -> limits.Work:
    """A decode loop over two photos. missing: how many of them do not exist."""
    files = [folder / f"{number}.jpg" for number in range(2)]
    for file in files[missing:]:
        file.write_bytes(jpeg("teal"))
    return limits.Work("decode", files, folder, folder / "out")


def test_a_loop_ends_when_a_process_fails_before_all_are_ready(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the decode loop failed before its start"):
        limits.run(decode_loop(tmp_path, missing=1), cores=1)


@pytest.mark.long
def test_a_loop_is_timed_over_all_processes(tmp_path: Path) -> None:
    assert limits.run(decode_loop(tmp_path, missing=0), cores=2) > 0


def test_a_loop_ends_when_a_process_is_never_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "READY_SECONDS", 0)
    with pytest.raises(RuntimeError, match="failed before its start"):
        limits.run(decode_loop(tmp_path, missing=0), cores=1)


def test_ratios_are_taken_row_by_row() -> None:
    assert arithmetic.ratio([10, 30, 40], [10, 10, 10]) == Spread(3, 1, 4)
    fixed, each = arithmetic.fit([(1000, 15.0), (5000, 35.0), (20_000, 110.0)])
    assert (round(fixed, 6), round(each, 6)) == (10.0, 0.005)


def test_targets_are_judged_as_they_were_measured() -> None:
    judged = {(r.what, r.by): r for r in arithmetic.ratios(results())}
    assert judged["featurize", "the inference loop"].verdict == "met"
    assert judged["ingest", "featurize"].verdict == "**not met**"
    assert judged["equal work", "the notebook"].spread.median == 10
    assert judged["whole run", "the notebook"].verdict == "met"
    assert judged["whole run", "Daft"].verdict.startswith("void")
    assert Ratio("a", "b", Spread(0.9, 0.8, 1.0), 0.9).verdict == "met"


def test_the_report_is_whole(tmp_path: Path) -> None:
    text = report.markdown(results())
    for name in (*report.NAMES.values(), "not met", "void", "50.0", "python 3.11"):
        assert name in text
    report.draw(results(), tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as chart:
        assert chart.width > 800
    assert (tmp_path / "chart.png").stat().st_size < 100_000


def test_the_document_shows_the_results_that_lie_in_the_repository() -> None:
    assert (report.RESULTS / "bench.md").read_text() in (REPOSITORY / "docs" / "performance.md").read_text()
