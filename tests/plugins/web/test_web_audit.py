"""The page of labels in doubt and duplicates: how far the audit is, what it found, and for whom it is too much."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import schemas
from imagefeatures.audits import kept
from imagefeatures.errors import StoreError
from imagefeatures.forget import deny
from imagefeatures.maps import choice
from imagefeatures.settings import Settings, program
from support import exporting
from support.auditing import WIDTH, direction, jpeg_of, scene
from support.publishing import DAY
from support.shared import until
from support.shown_objects import PARTITION, RUN_ID, image_id, lay_out, thumbnail_of
from support.web import PAGE, Page, Site, dataset_file, publish, runs_row, user

NEXT_DAY = "2026-11-03"
NEXT_RUN = "20261103T000000-0a1b2c3d"
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
    assert ("a", "href", f"{PAGE}/datasets/photos/audit?table=labels") in page.attributes  # of all partitions
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


def next_day(settings: Settings, folder: Path, **row: object) -> None:
    """Publish another partition: photos with the bytes of a fig, with its picture, and with another one's label."""
    rows = [("same.jpg", FIGS[1][1], "fig", direction(2)), ("again.jpg", jpeg_of(scene(5), 40), "pear", direction(5.2))]
    for name, data, _, _ in rows:
        (folder / "files" / name).write_bytes(data)
    table = exporting.rows_of(range(2), NEXT_DAY, width=WIDTH)
    own = {
        "uri": [f"file://{folder}/files/{name}" for name, *_ in rows],
        "image_id": [image_id(data) for _, data, _, _ in rows],
        "label": [label for *_, label, _ in rows],
        "features": [vector for *_, vector in rows],
        "run_id": [NEXT_RUN] * 2,
    }
    for name, values in own.items():
        field = schemas.FEATURES.field(name)
        table = table.set_column(table.column_names.index(name), field, pa.array(values, field.type))
    exporting.publish(settings, folder, [table], NEXT_DAY)
    publish(settings, runs_row("photos", NEXT_DAY, {}, **{"run_id": NEXT_RUN, "registered": 2, "listed": 2, **row}))


def test_copies_in_two_partitions_are_found_from_the_page_of_the_dataset(
    site: Site, settings: Settings, tmp_path: Path
) -> None:
    next_day(settings, tmp_path)
    publish(settings, runs_row("photos", "2026-12-02", {}, model="none", pixels="0f"))  # pixels alone: not audited
    links = {value for tag, name, value in site.page("/datasets/photos").attributes if (tag, name) == ("a", "href")}
    assert {f"{PAGE}/datasets/photos/audit", f"{PAGE}/datasets/photos/map?every=true"} <= links
    begun = site.page("/datasets/photos/audit")
    assert "The audit is being computed, since" in begun.text
    assert "computed once for what is published" in begun.text
    assert "for at most 10,000 photos in all partitions together" in begun.text
    site.page("/datasets/photos/audit/duplicates.csv", 404)
    chosen = choice.published(settings, "photos")
    assert chosen.runs == ((DAY, RUN_ID), (NEXT_DAY, NEXT_RUN))
    folder = Settings.from_env().cache / "audits" / "photos"
    until((folder / kept.SEVERAL / chosen.digest / "facts.json").is_file)
    pairs = site.page("/datasets/photos/audit?table=duplicates")
    place = f"file://{tmp_path}/files"
    assert f"Group 1 : equal bytes, fig {DAY} · {place}/fig 2.jpg {NEXT_DAY} · {place}/same.jpg" in pairs.text
    assert f"two labels: pear and fig {NEXT_DAY} · {place}/again.jpg {DAY} · {place}/fig 5.jpg" in pairs.text
    assert "Duplicates (3)" in pairs.text
    shown = [value for tag, name, value in pairs.attributes if (tag, name) == ("img", "src")]
    of_next_day = f"{PAGE}/datasets/photos/partitions/{NEXT_DAY}/thumbnails"
    assert shown[:2] == [thumbnail_of(FIGS[1][1]), f"{of_next_day}/{image_id(FIGS[1][1])}"]
    assert len(shown) == 6
    for address in shown[:2]:
        assert site.get(address, Cookie=f"_token={site.login}").headers["content-type"] == "image/jpeg"
    labels = site.page("/datasets/photos/audit")
    assert f"pear , its neighbours are fig doubt 100 % {NEXT_DAY} · {place}/again.jpg" in labels.text
    for kind, media in (("csv", "text/csv"), ("parquet", "application/vnd.apache.parquet")):
        answer = site.get(f"{PAGE}/datasets/photos/audit/duplicates.{kind}", Cookie=f"_token={site.login}")
        assert answer.headers["content-type"].startswith(media)
        assert answer.headers["content-disposition"] == f'attachment; filename="duplicates-photos.{kind}"'
    found = pq.read_table(io.BytesIO(answer.content)).to_pylist()
    across = [(row["uri"], row["other_uri"]) for row in found if row["partition_key"] != row["other_partition_key"]]
    assert across == [
        (f"{place}/fig 2.jpg", f"{place}/same.jpg"),
        (f"{place}/again.jpg", f"{place}/fig 5.jpg"),
    ]
    assert not [name for _, name, _ in pairs.attributes if name.startswith("on") or name == "style"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (
            {"registered": 9_991},
            "The published partitions have 10,001 photos, and the page audits up to 10,000. More are audited by a "
            f"command: {program()} audit photos --to FOLDER",
        ),
        ({"fingerprint": "0f" * 16}, "were computed in several ways, and do not compare: look at the audit of each."),
    ],
)
def test_too_much_of_all_partitions_is_said_and_computed_by_no_look(
    site: Site, settings: Settings, tmp_path: Path, row: dict[str, object], why: str
) -> None:
    next_day(settings, tmp_path, **row)
    page = site.page("/datasets/photos/audit")
    assert why in page.text
    assert ("meta", "http-equiv", "refresh") not in page.attributes
    site.page("/datasets/photos/audit/labels.csv", 404)
    assert not (Settings.from_env().cache / "audits").exists()


def test_a_dataset_without_vectors_has_no_audit(site: Site, settings: Settings) -> None:
    dataset_file(settings, "pears")
    publish(settings, runs_row("pears", DAY, {}, model="none", pixels="0f"))
    site.page("/datasets/pears/audit", 404)
    site.page("/datasets/none/audit", 404)
    assert "Labels and duplicates" not in site.page("/datasets/pears").text


def test_a_stranger_begins_none(site: Site) -> None:
    for place in (PARTITION, "/datasets/photos"):
        user(site, None).page(f"{place}/audit", 404)
        for name in ("labels.csv", "duplicates.parquet"):
            user(site, None).page(f"{place}/audit/{name}", 404)
    assert not (Settings.from_env().cache / "audits").exists()


def test_what_is_downloaded_has_addresses_of_the_web_without_secrets(tmp_path: Path) -> None:
    from imagefeatures_airflow.web.downloads import without_secrets_in

    secret, told = "https://me:word@host.example/1.jpg?sig=s3cret", "https://host.example/1.jpg?…"
    plain = "s3://bucket/a?b.jpg"
    with (tmp_path / "labels.csv").open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([["uri", "label", "neighbours"], [secret, "'=fig?x", f"{plain}\n{secret}"]])
    (row,) = csv.DictReader(io.StringIO(without_secrets_in(tmp_path / "labels.csv").decode(), newline=""))
    assert row == {"uri": told, "label": "'=fig?x", "neighbours": f"{plain}\n{told}"}
    table = pa.table(
        {"uri": [secret, plain], "other_uri": [None, secret], "cosine": [0.5, 1.0], "neighbours": [[secret, plain], []]}
    )
    pq.write_table(table, tmp_path / "duplicates.parquet")
    found = pq.read_table(pa.BufferReader(without_secrets_in(tmp_path / "duplicates.parquet")))
    assert found.schema == table.schema
    assert found.to_pylist() == [
        {"uri": told, "other_uri": None, "cosine": 0.5, "neighbours": [told, plain]},
        {"uri": plain, "other_uri": told, "cosine": 1.0, "neighbours": []},
    ]
