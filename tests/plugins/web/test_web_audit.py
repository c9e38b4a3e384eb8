"""The page of labels in doubt and duplicates: how far the audit is, what it found, and for whom it is too much."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from urllib.parse import urlencode

import pytest

from imagefeatures.errors import StoreError
from imagefeatures.forget import deny
from imagefeatures.settings import Settings
from support.auditing import direction, jpeg_of, scene
from support.publishing import DAY
from support.shared import until
from support.shown_objects import PARTITION, RUN_ID, lay_out, thumbnail_of
from support.web import PAGE, Page, Site, publish, runs_row, user

NAUGHTY = """<img src=x onerror="alert(1)">'&quot;"""
FIGS = [(f"fig {number}.jpg", jpeg_of(scene(number)), "fig", direction(number)) for number in range(1, 9)]
WRONG = jpeg_of(scene(20))
COPY = ("copy.jpg", jpeg_of(scene(1), 40), "fig", direction(1.5))


@pytest.fixture(autouse=True)
def _laid_out(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    lay_out(settings, tmp_path, [*FIGS, ("wrong.jpg", WRONG, NAUGHTY, direction(4.5)), COPY])


def audit(site: Site, status: int = 200, **wanted: object) -> Page:
    return site.page(f"{PARTITION}/audit?{urlencode(wanted)}", status)


def table(site: Site, name: str) -> list[dict[str, str]]:
    answer = site.get(f"{PAGE}{PARTITION}/audit/{name}.csv", Cookie=f"_token={site.login}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}-{RUN_ID}.csv"'
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_it_is_computed_at_the_first_look_and_shown_with_the_photos(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import audit as module

    begun = audit(site)
    assert "The audit is being computed, since" in begun.text
    assert "at most 10 minutes, for partitions of at most 10,000 photos" in begun.text
    assert ("meta", "http-equiv", "refresh") in begun.attributes
    site.page(f"{PARTITION}/audit/labels.csv", 404)
    until((Settings.from_env().cache / "audits" / "photos" / DAY / RUN_ID / "facts.json").is_file)
    page = audit(site)
    assert ("meta", "http-equiv", "refresh") not in page.attributes
    assert f"{NAUGHTY} , its neighbours are fig doubt 100 %" in page.text
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert sources[0] == thumbnail_of(WRONG)
    assert len(sources[1:5]) == len(set(sources[1:5]) & {thumbnail_of(data) for _, data, _, _ in FIGS}) == 4
    labels = table(site, "labels")
    assert f"Labels in doubt ({len(labels)})" in page.text
    assert labels[0]["label"] == NAUGHTY
    pair = audit(site, table="duplicates")
    assert "Group 1 : the same picture, fig" in pair.text
    sources = [value for tag, name, value in pair.attributes if (tag, name) == ("img", "src")]
    assert sorted(sources) == sorted([thumbnail_of(COPY[1]), thumbnail_of(FIGS[0][1])])
    assert [row["kind"] for row in table(site, "duplicates")] == ["near"]
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    monkeypatch.setattr(module, "ON_A_PAGE", 2)
    second = audit(site, page=2)
    assert f"Page 2 of {(len(labels) + 1) // 2}" in second.text
    assert f"{NAUGHTY} , its neighbours" not in second.text
    assert "There are no more." in audit(site, page=99).text
    assert site.get(f"{PAGE}{PARTITION}/audit/facts.csv", Cookie=f"_token={site.login}").status_code == 422


def test_a_label_of_any_length_is_audited(site: Site, settings: Settings, tmp_path: Path) -> None:
    photos = [(name, data, "x" * 140_000, vector) for name, data, _, vector in FIGS]
    lay_out(settings, tmp_path, [*photos, ("wrong.jpg", WRONG, "fig", direction(4.5))])
    audit(site)
    until((Settings.from_env().cache / "audits" / "photos" / DAY / RUN_ID / "facts.json").is_file)
    page = audit(site)
    assert "Labels in doubt" in page.text
    assert len(page.text) < 50_000


def test_a_store_that_is_away_is_said_on_every_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(lake: str) -> str:
        raise StoreError("s3://secret/: no answer")

    monkeypatch.setattr(deny, "state", away)
    for page in ("audit", "audit/labels.csv"):
        shown = site.page(f"{PARTITION}/{page}", 503)
        assert "This cannot be shown now (StoreError)." in shown.text and "secret" not in shown.text


def test_too_much_is_said_with_the_command_and_computed_by_no_look(site: Site, settings: Settings) -> None:
    publish(settings, runs_row("photos", "2026-12-01", {}, registered=10_001))
    publish(settings, runs_row("photos", "2026-12-02", {}, model="none", pixels="0f"))
    page = site.page("/datasets/photos/partitions/2026-12-01/audit")
    assert "The partition has 10,001 photos, and the page audits up to 10,000." in page.text
    assert "audit photos --partition 2026-12-01 --to FOLDER" in page.text
    assert "without vectors there are no neighbours" in site.page("/datasets/photos/partitions/2026-12-02/audit").text
    site.page("/datasets/photos/partitions/2026-12-01/audit/labels.csv", 404)
    assert not (Settings.from_env().cache / "audits").exists()


def test_a_stranger_begins_none(site: Site) -> None:
    user(site, None).page(f"{PARTITION}/audit", 404)
    user(site, None).page(f"{PARTITION}/audit/labels.csv", 404)
    assert not (Settings.from_env().cache / "audits").exists()
