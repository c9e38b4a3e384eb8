"""The page of the feature map: how far it is, what it says without its script, and what its script is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from imagefeatures import similarity, storage
from imagefeatures.background import Waits
from imagefeatures.errors import StoreRefused
from imagefeatures.forget import deny
from imagefeatures.maps import choice, stored
from imagefeatures.maps.compute import FeatureMap
from imagefeatures.settings import REPOSITORY, Settings, program
from support.auditing import direction, jpeg_of, scene
from support.publishing import DAY
from support.shared import until
from support.shown_objects import lay_out
from support.web import PAGE, Page, Site, publish, runs_row, user

NAUGHTY = """<img src=x onerror="alert(1)">'&quot;"""
FIGS = [(f"fig {number}.jpg", jpeg_of(scene(number)), "fig", direction(number)) for number in range(1, 5)]
OTHERS = [("a.jpg", jpeg_of(scene(20)), NAUGHTY, direction(90)), ("b.jpg", jpeg_of(scene(21)), None, direction(80))]
MAP = f"{PAGE}/datasets/photos/map"


@pytest.fixture(autouse=True)
def _laid_out(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    lay_out(settings, tmp_path, [*FIGS, *OTHERS])


@pytest.fixture
def made(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> stored.StoredMap:
    """A map without t-SNE, whose import takes longer than all else here."""
    monkeypatch.setattr(similarity, "LEAST_FOR_A_MAP", 100)
    return stored.make(settings, choice.published(settings, "photos"))


def look(site: Site, status: int = 200, **wanted: object) -> Page:
    return site.page(f"/datasets/photos/map?{urlencode(wanted)}", status)


def of_map(site: Site, settings: Settings, what: str) -> Any:
    return site.get(address_of(settings, what), Cookie=f"_token={site.login}")


def address_of(settings: Settings, what: str) -> str:
    """As the page gives it to its script."""
    chosen = choice.published(settings, "photos")
    found = stored.find(settings.lake, chosen.dataset, chosen.digest)
    made = urlencode({"made": found.facts["made_at"]}) if found else ""
    return f"{PAGE}/datasets/photos/maps/{chosen.digest}/{what}?{made}"


def test_no_map_is_begun_that_could_not_be_kept(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(uri: str, data: bytes) -> None:
        raise StoreRefused(f"{uri}: 403 AccessDenied")

    monkeypatch.setattr("imagefeatures.maps.on_look.MapsOnLook.begin", None)  # whatever begins one fails
    monkeypatch.setattr(storage, "write", refused)
    page = look(site)
    assert "API server may not write into the lake, where maps are kept." in page.text
    assert f"once a command has made it that may: {program()} map photos" in page.text
    assert ("meta", "http-equiv", "refresh") not in page.attributes


def test_in_the_containers_the_page_has_the_whole_command(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    own = services["airflow-apiserver"]["environment"]["IMAGEFEATURES_PROGRAM"]
    monkeypatch.setenv("IMAGEFEATURES_PROGRAM", own)
    monkeypatch.setattr("imagefeatures.maps.on_look.MapsOnLook.may_write", lambda _: False)
    command = "docker compose exec airflow-scheduler imagefeatures map photos"
    assert look(site).text.count(f"once a command has made it that may: {command} A map is computed") == 1
    publish(settings, runs_row("photos", "2026-12-01", {}, registered=100_001))
    assert f"this page shows it: {command} --partition 2026-12-01" in look(site, partition="2026-12-01").text
    assert command in (REPOSITORY / "docs" / "feature-map.md").read_text().replace("map fruit", "map photos")
    assert services["airflow-scheduler"]["environment"]["IMAGEFEATURES_LAKE"] == "s3://${BUCKET:-image-features}/lake"


def test_the_page_asks_again_only_for_what_may_begin_by_itself(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for state in (Waits("Another map is under way."), Waits("The map has failed.", again=False)):
        monkeypatch.setattr("imagefeatures.maps.on_look.MapsOnLook.begin", lambda *_, state=state: state)
        page = look(site)
        assert state.why in page.text
        again = [value for _, name, value in page.attributes if name == "data-again"]
        assert again == (["5"] if state.again else [])
        assert (("meta", "http-equiv", "refresh") in page.attributes) == state.again
    assert storage.names(f"{settings.lake}/maps") == []  # what tried to write has left nothing


@pytest.mark.long
def test_a_map_is_computed_at_the_first_look_and_kept_in_the_lake(site: Site, settings: Settings) -> None:
    begun = look(site)
    assert "The map is being computed, since" in begun.text
    assert ("meta", "http-equiv", "refresh") in begun.attributes
    uri = stored.uri_of(settings.lake, choice.published(settings, "photos"))
    until(lambda: storage.exists(uri))
    page = look(site)
    assert ("meta", "http-equiv", "refresh") not in page.attributes
    assert "6 of 6 different images in 6 photos: all images" in page.text


def test_the_labels_are_a_table_and_nothing_of_them_is_markup(
    site: Site, settings: Settings, made: stored.StoredMap
) -> None:
    page = look(site, partition=DAY)
    (table,) = page.tables
    assert table == [
        ["Label", "Photos", "Alike"],
        ["fig", "4", "75 %"],  # of each fig's five nearest three are figs, and one without a label counts for nothing
        [NAUGHTY, "1", "0 %"],
        ["without a label", "1", "–"],
    ]
    assert "Placed by in a row: there are too few for t-SNE. Neither the axes" in page.text
    assert f"of snapshot {made.facts['snapshot']}" in page.text
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    assert {value for tag, name, value in page.attributes if (tag, name) == ("script", "src")} == {
        f"{PAGE}/static/{name}" for name in sources(site, page)
    }
    assert page.text.count(NAUGHTY) == 1


def sources(site: Site, page: Page) -> list[str]:
    """The scripts of the page below static/, which are all there."""
    found = [value.partition("/static/")[2] for tag, name, value in page.attributes if (tag, name) == ("script", "src")]
    assert [name.partition("?")[0] for name in found] == ["echarts.js", "plane.js", "map.js", "page.js"]
    for name in found:
        answer = site.get(f"{PAGE}/static/{name}", Cookie=f"_token={site.login}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["cache-control"] == "private, max-age=604800, immutable"
    return found


def test_the_policy_of_a_map_is_that_of_every_page(site: Site, made: stored.StoredMap) -> None:
    policies = {
        site.get(address, Cookie=f"_token={site.login}").headers["Content-Security-Policy"]
        for address in (MAP, f"{PAGE}/")
    }
    (policy,) = policies
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self' 'sha256-")
    assert "unsafe" not in policy


def test_points_are_short_json_with_the_labels_by_number(
    site: Site, settings: Settings, made: stored.StoredMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import map_points

    labels = made.points["label"].to_pylist()
    found = of_map(site, settings, "points").json()
    assert found["labels"] == ["fig", NAUGHTY, None]
    assert [found["labels"][number] for number in found["label"]] == labels
    assert min(found["x"] + found["y"]) == 0
    assert max(found["x"] + found["y"]) == map_points.STEPS
    monkeypatch.setattr(map_points, "MOST_LABELS", 1)
    monkeypatch.setattr(map_points, "LONGEST_LABEL", 2)
    again = map_points.as_json.__wrapped__(made)
    assert b'"labels":["fi"]' in again
    assert f'"label":{[int(label != "fig") for label in labels]}'.replace(" ", "") in again.decode()
    assert "The 1 most frequent of 3 labels are told apart; the others are one." in look(site).text


def test_a_photo_is_sent_with_its_nearest_others_and_a_picture(
    site: Site, settings: Settings, made: stored.StoredMap
) -> None:
    uris = made.points["uri"].to_pylist()
    at = next(number for number, uri in enumerate(uris) if uri.endswith("/fig 1.jpg"))
    photo = of_map(site, settings, f"photos/{at}").json()
    assert (photo["name"], photo["label"], photo["partition"]) == ("fig 1.jpg", "fig", DAY)
    assert [other["name"] for other in photo["near"]] == ["fig 2.jpg", "fig 3.jpg", "fig 4.jpg", "b.jpg", "a.jpg"]
    assert photo["near"][0]["cosine"] == pytest.approx(0.9998, abs=1e-4)
    assert photo["near"][-1]["label"] == NAUGHTY
    picture = site.get(photo["thumbnail"], Cookie=f"_token={site.login}")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    assert picture.content.startswith(b"\xff\xd8")
    for number in (6, 10**9):
        assert of_map(site, settings, f"photos/{number}").status_code == 404
        assert of_map(site, settings, f"photos/{number}/thumbnail").status_code == 404
    for number in ("-1", "x"):
        assert of_map(site, settings, f"photos/{number}").status_code == 422


def test_a_map_of_what_is_published_no_more_is_not_shown(
    site: Site, settings: Settings, made: stored.StoredMap
) -> None:
    digest = choice.published(settings, "photos").digest
    address = address_of(settings, "points")
    assert site.get(address, Cookie=f"_token={site.login}").status_code == 200
    from imagefeatures.catalog import tables

    with tables.open_catalog(settings) as catalog:
        table = tables.open_table(catalog, settings, "runs")
        table.delete()
    publish(settings, runs_row("photos", DAY, {}, run_id="20261109T000000-0a1b2c3d"))
    assert site.get(address, Cookie=f"_token={site.login}").status_code == 404
    assert site.get(address.replace(digest, "0" * 32), Cookie=f"_token={site.login}").status_code == 404
    assert site.get(address.replace(digest, "..%2F"), Cookie=f"_token={site.login}").status_code in (404, 422)


def test_a_photo_of_the_map_before_is_not_looked_up_in_one_that_was_made_anew(
    site: Site, settings: Settings, made: stored.StoredMap
) -> None:
    (told,) = [value for _, name, value in look(site).attributes if name == "data-made"]
    photo = of_map(site, settings, "photos/0").json()
    assert photo["thumbnail"].endswith(f"/photos/0/thumbnail?{told}")
    before = [address_of(settings, what) for what in ("points", "photos/0")] + [photo["thumbnail"]]
    assert {site.get(address, Cookie=f"_token={site.login}").status_code for address in before} == {200}
    deny.add(settings.lake, "20261103T000000-00000000", ["f" * 64], [])
    chosen = choice.published(settings, "photos")
    anew = FeatureMap(
        made.points.take([*range(6)][::-1]), made.facts | {"forgotten": deny.state(settings.lake), "made_at": "anew"}
    )
    storage.write(stored.uri_of(settings.lake, chosen), stored.encode(anew))
    assert of_map(site, settings, "photos/0").json()["uri"] == made.points["uri"][5].as_py()
    assert {site.get(address, Cookie=f"_token={site.login}").status_code for address in before} == {404}
    assert site.get(before[0].partition("?")[0], Cookie=f"_token={site.login}").status_code == 404


def test_what_has_no_map_is_said_and_begins_none(site: Site, settings: Settings) -> None:
    publish(settings, runs_row("photos", "2026-12-01", {}, registered=100_001))
    publish(settings, runs_row("photos", "2026-12-02", {}, model="none", pixels="0f"))
    publish(settings, runs_row("photos", "2026-12-03", {}, fingerprint="0f" * 16))
    publish(settings, runs_row("photos", "2026-12-04", {}, registered=0))
    much = look(site, partition="2026-12-01")
    assert "have 100,001 photos, and a look begins maps of up to 100,000." in much.text
    assert "map photos --partition 2026-12-01" in much.text
    several = site.page(f"/datasets/photos/map?partition={DAY}&partition=2026-12-03")
    assert "were computed in several ways, and do not compare" in several.text
    assert "features.photos has no photos of these partitions" in look(site, partition="2026-12-04").text
    assert boxes(several)[0] == ["2026-12-04", "2026-12-03", "2026-12-01", DAY]  # pixels alone have no map
    assert boxes(look(site))[1] == 1  # by default the newest
    look(site, 404, partition="2026-12-02")
    look(site, 404, partition="2026-12-24")
    assert storage.names(f"{settings.lake}/maps/photos") == []


def boxes(page: Page) -> tuple[list[str | None], int]:
    """The partitions that can be ticked, and how many are."""
    found = [value for tag, name, value in page.attributes if (tag, name) == ("input", "value")]
    return found, sum((tag, name) == ("input", "checked") for tag, name, _ in page.attributes)


def test_all_partitions_can_be_chosen_however_many_there_are(site: Site, settings: Settings) -> None:
    publish(settings, *(runs_row("photos", f"p{number}", {}, registered=1000) for number in range(400)))
    page = look(site, every="true")
    assert "401 partitions" in page.text
    assert page.text.count("--partition") == 0
    assert "have 400,006 photos" in page.text
    links = {value for tag, name, value in page.attributes if (tag, name) == ("a", "href")}
    assert f"{MAP}?every=true" in links
    ticked = [("partition", f"p{number}") for number in range(400)]
    assert boxes(page) == ([f"p{number}" for number in sorted(range(400), key=str, reverse=True)], 400)
    assert "These are the newest 400 of 401 partitions. The page of an older one leads to its map." in page.text
    old = look(site, partition=DAY)
    assert (boxes(old)[0][-1], len(boxes(old)[0]), boxes(old)[1]) == (DAY, 401, 1)
    assert "the newest 400 of 401 partitions, and older ones that are chosen." in old.text
    some = site.page(f"/datasets/photos/map?{urlencode(ticked)}")
    assert some.text.count("--partition") == 400
    many = site.page(f"/datasets/photos/map?{urlencode([*ticked, ('partition', DAY)])}", 404)
    assert "At most 400 partitions can be chosen one by one." in many.text


def test_a_stranger_sees_no_map_and_begins_none(
    site: Site, settings: Settings, made: stored.StoredMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = user(site, None)
    monkeypatch.setattr("imagefeatures.maps.on_look.MapsOnLook.begin", None)  # whatever begins one fails
    publish(settings, runs_row("photos", "2026-12-24", {}))
    look(stranger, 404, partition="2026-12-24")
    look(stranger, 404, partition=DAY)
    made_at = urlencode({"made": made.facts["made_at"]})
    digest = choice.published(settings, "photos", [DAY]).digest
    for what in ("points", "photos/0", "photos/0/thumbnail"):
        address = f"{PAGE}/datasets/photos/maps/{digest}/{what}?{made_at}"
        for whose, status in ((stranger, 404), (site, 200)):
            assert site.get(address, Cookie=f"_token={whose.login}").status_code == status


def test_only_the_files_of_the_folder_are_served(site: Site) -> None:
    for name in ("..%2Fapp.py", "app.py", "", "map.js%00", "MAP.JS"):
        assert site.get(f"{PAGE}/static/{name}", Cookie=f"_token={site.login}").status_code == 404
    licences = site.get(f"{PAGE}/static/echarts.LICENSE.txt", Cookie=f"_token={site.login}").text
    assert "Apache License" in licences
    assert "Copyright 2010-2016 Mike Bostock" in licences
