"""The page of quarantined objects: filters, what it says of each, the list of them."""

from __future__ import annotations

import csv
import datetime as dt
import io
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from imagefeatures.reasons import Reason
from imagefeatures.settings import Settings
from support.photos import jpeg
from support.publishing import DAY
from support.shown_objects import RUN_ID, Refused, lay_out, publish_refused, row_of, thumbnail_of
from support.web import PAGE, Page, Site, publish, runs_only_our_script, runs_row, user

NAUGHTY = """<img src=x onerror="alert(1)">'&quot;</textarea><script>alert(1)</script>"""
TWICE = jpeg(2)
REFUSED = [
    Refused("twice.jpg", TWICE, Reason.DUPLICATE, "same bytes as good.jpg"),
    Refused("Bad.jpg", b"no picture", Reason.UNSUPPORTED_FORMAT, "text"),
    Refused("x", None, Reason.HTTP_REFUSED, "403", uri="https://me:word@host.example/1.jpg?X-Amz-Signature=s3cret"),
    Refused("gone.jpg", None, Reason.NOT_FOUND, f"{NAUGHTY} is gone"),
]


@pytest.fixture(autouse=True)
def _laid_out(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    lay_out(settings, tmp_path, [("good.jpg", TWICE, None, [1.0] * 8)], REFUSED)
    days = {f"2026-10-0{day}": Refused(f"{day}.jpg", b"", "CORRUPT") for day in range(1, 6)}
    publish(settings, *(runs_row("photos", day, {"CORRUPT": 1}, run_id=RUN_ID) for day in days))
    publish_refused(settings, [row_of(tmp_path, one, day) for day, one in days.items()])


def quarantine(site: Site, **wanted: object) -> Page:
    return site.page(f"/quarantine?{urlencode(wanted)}")


def test_each_object_has_reason_detail_and_remedy_and_a_thumbnail_where_it_has_bytes(site: Site) -> None:
    page = quarantine(site, dataset="photos", partition=DAY)
    assert "4 objects fit" in page.text
    assert "DUPLICATE same bytes as good.jpg What to do: Nothing." in page.text
    assert "UNSUPPORTED_FORMAT text What to do: Convert it, or exclude it." in page.text
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert thumbnail_of(TWICE) in sources
    assert len(sources) == 2


def test_objects_are_of_the_newest_partitions_whenever_they_were_published(site: Site, settings: Settings) -> None:
    late = runs_row("photos", "2026-09-30", {"CORRUPT": 1}, run_id=RUN_ID)
    publish(settings, late | {"finished_at": late["finished_at"] + dt.timedelta(days=9)})
    told = csv.DictReader(io.StringIO(site.get(f"{PAGE}/quarantine.csv", Cookie=f"_token={site.login}").text))
    assert {row["partition_key"] for row in told} == {DAY, "2026-10-05", "2026-10-04"}


def test_no_secret_of_a_url_is_on_the_page(site: Site) -> None:
    page = quarantine(site, dataset="photos", partition=DAY)
    assert "https://host.example/1.jpg?…" in page.text
    assert "s3cret" not in page.html
    assert "word@" not in page.html
    answer = site.get(f"{PAGE}/quarantine.csv?dataset=photos&partition={DAY}", Cookie=f"_token={site.login}")
    assert "https://host.example/1.jpg?…" in [row["uri"] for row in csv.DictReader(io.StringIO(answer.text))]
    assert "s3cret" not in answer.text
    assert "word@" not in answer.text


FILTERS: list[tuple[dict[str, str], list[str]]] = [
    ({"reason": "DUPLICATE"}, ["twice.jpg"]),
    ({"text": "bAd"}, ["Bad.jpg"]),
    ({"text": "IS GONE"}, ["gone.jpg"]),
    ({"reason": "NOT_FOUND", "text": "bad"}, []),
    ({"reason": "CORRUPT"}, ["5.jpg", "4.jpg", "3.jpg"]),
    ({"reason": "CORRUPT", "partition": "2026-10-01"}, ["1.jpg"]),
    ({"dataset": "other"}, []),
    ({"reason": "NO_SUCH"}, []),
    ({"text": "s3cret"}, []),  # else it could be guessed, letter by letter
    ({"text": "me:"}, []),
    ({"text": "host.example"}, ["1.jpg?…"]),
    ({"text": "files/"}, ["Bad.jpg", "gone.jpg", "twice.jpg", "5.jpg", "4.jpg"]),
]


def test_filters_and_the_download_of_what_they_find(site: Site) -> None:
    for wanted, names in FILTERS:
        answer = site.get(f"{PAGE}/quarantine.csv?{urlencode(wanted)}", Cookie=f"_token={site.login}")
        assert answer.headers["content-disposition"] == 'attachment; filename="quarantine.csv"'
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["uri"].rpartition("/")[2] for row in rows] == names, wanted
        page = quarantine(site, **wanted)
        assert all(row["uri"] in page.text for row in rows)
        assert page.html.count('<p class="name">') == len(names)


def test_it_says_where_not_every_partition_was_looked_at(site: Site) -> None:
    page = quarantine(site, reason="CORRUPT")
    assert "3 objects fit, of the 3 newest of 5 partitions; choose a partition for the others" in page.text
    assert [row[0].split()[0] for row in page.tables[0][1:]] == [f"2026-10-0{day}" for day in (5, 4, 3, 2, 1)]


def test_the_pages_of_many_and_the_bound(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from imagefeatures_airflow.web import quarantine as module
    from imagefeatures_airflow.web import rows

    monkeypatch.setattr(module, "ON_A_PAGE", 3)
    first = quarantine(site, dataset="photos", partition=DAY)
    assert "Page 1 of 2" in first.text
    assert ("a", "href", f"{PAGE}/quarantine?dataset=photos&partition={DAY}&page=2") in first.attributes
    second = quarantine(site, dataset="photos", partition=DAY, page=2)
    assert second.html.count('<p class="name">') == 1
    assert "Previous" in quarantine(site, dataset="photos", partition=DAY, page=10**30).text
    rows._rejected.cache_clear()
    monkeypatch.setattr(rows, "MOST_REJECTED", 2)
    assert "Of each partition the first 2 were looked at." in quarantine(site, dataset="photos", partition=DAY).text


def test_what_is_in_names_and_details_stays_text(site: Site) -> None:
    page = quarantine(site, dataset="photos", partition=DAY, text=NAUGHTY, reason=NAUGHTY)
    assert runs_only_our_script(page)
    assert ("input", "value", NAUGHTY) in page.attributes
    page = quarantine(site, dataset="photos", partition=DAY)
    assert f"{NAUGHTY} is gone" in page.text
    assert runs_only_our_script(page)
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]


def test_names_that_no_run_has_are_not_looked_for(site: Site, settings: Settings) -> None:
    hostile = [
        ("photos", "../../x", RUN_ID),
        ("photos' or 'a' = 'a", DAY, RUN_ID),
        ("photos", "2026-12-01", "r' or 'a"),
    ]
    for dataset, partition, run_id in hostile:
        publish(settings, runs_row(dataset, partition, {"CORRUPT": 9}, run_id=run_id))
        path = quote(partition, safe="")
        for page in ("gallery", "audit", "rejected.csv"):
            site.page(f"/datasets/{quote(dataset, safe='')}/partitions/{path}/{page}", 404)
    assert "of the 3 newest of 6 partitions" in quarantine(site).text


def test_a_stranger_sees_nothing_of_it(site: Site) -> None:
    stranger = user(site, None)
    page = quarantine(stranger, dataset="photos", partition=DAY)
    assert "No partition has quarantined objects that fit this filter." in page.text
    assert "photos" not in quarantine(stranger).html
    answer = stranger.get(f"{PAGE}/quarantine.csv", Cookie=f"_token={stranger.login}")
    assert answer.text == "dataset,partition_key,uri,reason,detail,step,size,image_id\n"
