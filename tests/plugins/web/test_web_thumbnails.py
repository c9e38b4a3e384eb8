"""Thumbnails as a browser gets them: of objects that the partition's rows name, for those who may see it."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from PIL import Image

from imagefeatures.reasons import Reason
from imagefeatures.settings import Settings
from support.auditing import direction
from support.photos import jpeg
from support.shown_objects import PARTITION, Refused, image_id, lay_out, thumbnail_of
from support.web import PAGE, Site, user

GOOD, TWICE, BAD = jpeg(1, 640, 480), jpeg(2), b"no picture"


@pytest.fixture
def _shown(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    refused = [
        Refused("twice.jpg", TWICE, Reason.DUPLICATE),
        Refused("bad.jpg", BAD, Reason.UNSUPPORTED_FORMAT),
        Refused("gone.jpg", None, Reason.NOT_FOUND),
    ]
    lay_out(settings, tmp_path, [("good.jpg", GOOD, "fig", direction(0))], refused)


def cookie(site: Site) -> dict[str, str]:
    return {"Cookie": f"_token={site.login}"}


@pytest.mark.usefixtures("_shown")
def test_registered_and_quarantined_objects_have_a_thumbnail_of_ours(site: Site, tmp_path: Path) -> None:
    for data in (GOOD, TWICE):
        answer = site.get(thumbnail_of(data), **cookie(site))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert Image.open(io.BytesIO(answer.content)).size == (256, 192)
        assert data not in answer.content
        assert answer.headers["cache-control"] == "private, max-age=600"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    (tmp_path / "files" / "good.jpg").unlink()
    started = time.monotonic()
    assert site.get(thumbnail_of(GOOD), **cookie(site)).status_code == 200
    print(f"a thumbnail that is kept: {time.monotonic() - started:.3f} s")
    assert site.get(thumbnail_of(BAD), **cookie(site)).status_code == 404


@pytest.mark.usefixtures("_shown")
def test_no_other_object_has_one(site: Site, settings: Settings, tmp_path: Path) -> None:
    beside = jpeg(3)
    (tmp_path / "files" / "beside.jpg").write_bytes(beside)
    assert site.get(thumbnail_of(beside), **cookie(site)).status_code == 404
    for name in ("x", "../good.jpg", "%2e%2e%2fgood.jpg", image_id(GOOD).upper(), f"{image_id(GOOD)}%00", "0" * 63):
        answer = site.get(f"{PAGE}{PARTITION}/thumbnails/{name}", **cookie(site))
        assert answer.status_code in (404, 422), name
        assert answer.headers["content-type"] != "image/jpeg"
    other = thumbnail_of(GOOD).replace("2026-11-02", "2026-11-03")
    assert site.get(other, **cookie(site)).status_code == 404


@pytest.mark.usefixtures("_shown")
def test_who_may_not_see_the_dataset_gets_none_though_it_is_kept(site: Site) -> None:
    assert site.get(thumbnail_of(GOOD), **cookie(site)).status_code == 200
    stranger = user(site, None)
    assert stranger.get(thumbnail_of(GOOD), **cookie(stranger)).status_code == 404
    assert site.get(thumbnail_of(GOOD)).status_code == 401
