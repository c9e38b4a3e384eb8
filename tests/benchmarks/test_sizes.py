"""The benchmark by size of the photo: its recipe, its report, and how it goes on. Nothing here is timed."""

from __future__ import annotations

import hashlib
import io
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import sizes, sizes_report
from benchmarks.peers.common import decoded
from benchmarks.photos.sets import SETS, encoded, parse_sizes
from imagefeatures.limits import Limits
from support.shared import decode

LARGE = replace(SETS["S12MP"], width=400, height=300)
"""The recipe of 12 megapixels, for a photo that takes no second to encode."""


def picture() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    return Image.fromarray(noise).resize((1280, 720))


def photo(name: str, number: int) -> bytes:
    return encoded(picture(), SETS[name], random.Random(f"{name} {number}"), number)


def large_photo(number: int, noise: np.ndarray | None = None) -> bytes:
    return encoded(picture(), LARGE, random.Random(number), number, noise)


def repetition(**changed: object) -> dict:
    """One in which every rate is 100 images a second."""
    rates = dict.fromkeys((*sizes_report.ROWS, "ours, busy"), 100.0)
    whole = dict.fromkeys((*sizes_report.WHOLE, "fused"), 100.0)
    return {
        "made_at": "2026-11-28 03:00 UTC",
        "photos": 1000,
        "bytes": 67_000_000,
        "machine": {"cores": 2, "cpu": "some", "memory_gb": 24, "load": [0.5, 2.0]},
        "versions": {"python": "3.11"},
        "rates": rates,
        "whole_rates": whole,
        "agreement": {"daft": 1.0, "ray": 1.0},
        "failures": {},
    } | changed


@pytest.mark.parametrize("name", ["S640", "PNG1024", "WEBP1024"])
def test_a_photo_is_determined_by_its_set_and_number(name: str) -> None:
    files = [photo(name, number) for number in (0, 1, 2, 0)]
    assert files[0] == files[3]
    assert len({hashlib.sha256(data).digest() for data in files}) == 3
    for data in files:
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (SETS[name].width, SETS[name].height)
            assert image.format == {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[SETS[name].suffix]


def test_every_second_photo_of_12_megapixels_is_turned_and_all_have_a_sensors_noise() -> None:
    noise = np.random.default_rng(0).integers(-5, 6, (300, 400, 1)).astype(np.int16)
    orientations = []
    for number in (0, 1):
        data = large_photo(number, noise)
        with Image.open(io.BytesIO(data)) as image:
            orientations.append(image.getexif().get(0x112, 1))
        assert data != large_photo(number)
    assert orientations == [1, 6]


def test_a_set_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no set 'S9'; there are S348"):
        parse_sizes("S348 S9")


def test_what_the_peers_decode_is_what_the_service_decodes() -> None:
    for data in (photo("S640", 0), photo("PNG1024", 0), photo("WEBP1024", 0), large_photo(1)):
        np.testing.assert_array_equal(decoded(data), decode(data, Limits()).pixels)


def test_the_report_judges_every_target_within_a_repetition() -> None:
    fast = repetition()
    fast["rates"] = fast["rates"] | {"ours": 240.0, "daft": 100.0, "resize": 179.0}
    results = {"S1024": [fast, repetition()], "S12MP": [fast]}
    equal = sizes_report.ratios(results, "equal work / Daft")
    assert [equal[name].spread.median for name in results] == [1.7, 2.4]
    assert [equal[name].verdict for name in results] == ["met", "met"]
    resize = sizes_report.ratios(results, "resize step / plain Pillow loop")
    assert [resize[name].verdict for name in results] == ["**not met**", "**not met**"]


def test_the_report_tells_what_failed_and_what_is_void_and_what_has_no_target() -> None:
    failed = repetition(failures={"ray": "Ray Data failed:\nno memory"}, agreement={"daft": 0.9})
    failed["rates"] = {name: rate for name, rate in failed["rates"].items() if name != "ray"}
    text = sizes_report.markdown({"S640": [failed], "PNG1024": [repetition()]})
    assert "Failed: Ray Data over S640: Ray Data failed: no memory" in text
    assert "(≥ 1.25) void: its vectors differ (cosine 0.9000) | 1.00 (1.00 to 1.00) |" in text
    assert "| equal work: Ray Data |  | 100 (100 to 100) |" in text


def test_the_chart_is_drawn_of_two_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes_report, "RESULTS", tmp_path)
    sizes_report.draw({"S640": [repetition()]})
    assert not (tmp_path / "sizes.png").exists()
    sizes_report.draw({"S640": [repetition()], "S12MP": [repetition(), repetition()]})
    with Image.open(tmp_path / "sizes.png") as chart:
        assert chart.width > 800


def test_an_interrupted_benchmark_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[bool] = []

    def measure(_: object, first: bool) -> dict:
        measured.append(first)
        if len(measured) == 3:
            raise KeyboardInterrupt
        return repetition()

    monkeypatch.setattr(sizes, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(sizes_report, "RESULTS", tmp_path)
    monkeypatch.setattr(sizes, "prepare", lambda *_: None)
    monkeypatch.setattr(sizes, "measure", measure)
    monkeypatch.setattr("sys.argv", ["sizes", "S348 S640=30", "--images", "40", "--repetitions", "2"])
    with pytest.raises(KeyboardInterrupt):
        sizes.main()
    assert {file.relative_to(tmp_path / "kept").as_posix() for file in (tmp_path / "kept").rglob("*.json")} == {
        "S348-40/1.json",
        "S640-30/1.json",
    }
    assert measured == [True, False, False]
    sizes.main()
    assert measured == [True, False, False, False, False]
    assert [len(found) for found in json.loads((tmp_path / "sizes.json").read_text()).values()] == [2, 2]
