"""Pages of a partition with augmented copies show each photo once, and after `forget` nothing that was kept before."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures import read
from imagefeatures.forget import deny
from imagefeatures.settings import Settings
from support.auditing import direction
from support.photos import jpeg
from support.publishing import DAY
from support.shown_objects import PARTITION, image_id, lay_out, thumbnail_of
from support.web import PAGE, Site

NAMES = ("a.jpg", "b.jpg")


@pytest.fixture(autouse=True)
def _laid_out(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    photos = [(name, jpeg(at), "fig", direction(40 * copy)) for copy in range(3) for at, name in enumerate(NAMES)]
    lay_out(settings, tmp_path, photos, copy=[0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize("sort", ["uri", "farthest"])
def test_a_photo_is_shown_once_and_its_copies_count_for_nothing(site: Site, sort: str) -> None:
    page = site.page(f"{PARTITION}/gallery?sort={sort}")
    shown = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert shown == [thumbnail_of(jpeg(at)) for at in range(2)]
    assert "fig (2)" in page.text
    if sort == "farthest":
        assert page.text.count("distance 0.000") == 2


def test_of_all_partitions_together_a_photo_is_a_row_once(settings: Settings) -> None:
    from imagefeatures_airflow.web import rows

    together = rows._photos_together(settings, "photos", ((DAY, "any"),), "")
    assert [uri.rpartition("/")[2] for uri in together["uri"].to_pylist()] == [*NAMES]


def test_rows_are_read_again_after_something_was_forgotten(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import rows

    asked = []
    real = read.batches

    def batches(settings: Settings, table: str, **selection: object) -> object:
        asked.append(table)
        return real(settings, table, **selection)

    monkeypatch.setattr(read, "batches", batches)
    for _ in range(2):
        site.page(f"{PARTITION}/gallery")
    deny.add(settings.lake, "20261103T000000-00000000", [image_id(jpeg(0))], [])
    monkeypatch.setattr(rows, "FRESH_SECONDS", 0.0)
    for _ in range(2):
        site.page(f"{PARTITION}/gallery")
    assert asked == ["photos", "photos"]


def test_a_page_that_is_far_beyond_the_last_is_refused(site: Site) -> None:
    for page in (0, 10**18):
        address = f"{PAGE}{PARTITION}/audit?page={page}"
        assert site.get(address, Cookie=f"_token={site.login}").status_code == 422
