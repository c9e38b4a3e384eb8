"""The gallery: which photos in which order, and that few columns of one partition are read for it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import pytest

from imagefeatures.settings import Settings
from support.auditing import direction
from support.photos import jpeg
from support.shown_objects import PARTITION, lay_out, thumbnail_of
from support.web import PAGE, Page, Site, publish, runs_row, user

NAUGHTY = """<img src=x onerror="alert(1)">'&quot;"""
PHOTOS = [
    ("a.jpg", jpeg(1), "fig", direction(0)),
    ("b.jpg", jpeg(2), None, direction(0)),
    ("c.jpg", jpeg(3), NAUGHTY, direction(0)),
    ("d.jpg", jpeg(4), "fig", direction(50)),
    ("e.jpg", jpeg(5), "fig", direction(4)),
    ("f.jpg", jpeg(6), "none", direction(0)),
]
SIZES = [700, 300, 900, 100, 100, 500]


@pytest.fixture(autouse=True)
def _laid_out(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    lay_out(settings, tmp_path, PHOTOS, size=SIZES)


def gallery(site: Site, status: int = 200, **wanted: object) -> Page:
    return site.page(f"{PARTITION}/gallery?{urlencode(wanted)}", status)


def shown(page: Page) -> str:
    """The names of the photos, a letter each."""
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    letters = {thumbnail_of(data): name[0] for name, data, _, _ in PHOTOS}
    return "".join(letters[source] for source in sources)


def test_labels_and_orders(site: Site) -> None:
    for wanted, letters in (
        ({}, "abcdef"),
        ({"label": "=fig"}, "ade"),
        ({"label": "none"}, "b"),
        ({"label": "=none"}, "f"),
        ({"label": f"={NAUGHTY}"}, "c"),
        ({"label": "=nothing"}, ""),
        ({"sort": "largest"}, "cafbde"),
        ({"sort": "smallest"}, "debfac"),
        ({"sort": "farthest", "label": "=fig"}, "dae"),
        ({"sort": "nearest", "label": "=fig"}, "ead"),
    ):
        page = gallery(site, **wanted)
        assert shown(page) == letters, wanted
        assert f"{len(letters)} photo" in page.text
    assert ", distance 0.000" in gallery(site, sort="nearest").text
    assert "fig (3)" in gallery(site).text
    assert "without a label (1)" in gallery(site).text
    assert site.get(f"{PAGE}{PARTITION}/gallery?sort=x", Cookie=f"_token={site.login}").status_code == 422


def test_pages_and_bounds(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from imagefeatures_airflow.web import gallery as module
    from imagefeatures_airflow.web import rows

    monkeypatch.setattr(module, "ON_A_PAGE", 4)
    first = gallery(site, label="", sort="largest")
    assert (shown(first), "Page 1 of 2" in first.text) == ("cafb", True)
    assert ("a", "href", f"{PAGE}{PARTITION}/gallery?sort=largest&page=2") in first.attributes
    assert shown(gallery(site, sort="largest", page=2)) == "de"
    assert shown(gallery(site, page=10**30)) == ""
    rows._photos.cache_clear()
    monkeypatch.setattr(rows, "MOST_ROWS", 5)
    monkeypatch.setattr(module, "MOST_LABELS", 2)
    page = gallery(site)
    assert "These are among the first 5 of the partition's 6; no page shows more." in page.text
    assert "The 2 most frequent of 3 labels can be chosen." in page.text


def test_the_chosen_label_stays_chosen_also_where_it_is_none_of_the_most_frequent(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import gallery as module

    monkeypatch.setattr(module, "MOST_LABELS", 1)
    frequent = [("=fig", "fig (3)")]
    for label, own in (
        ("", []),
        ("=fig", []),
        ("none", [("none", "without a label (1)")]),
        ("=none", [("=none", "none (1)")]),
        ("=nothing", [("=nothing", "nothing (0)")]),
        (f"={NAUGHTY}", [(f"={NAUGHTY}", f"{NAUGHTY} (1)")]),
    ):
        page = gallery(site, label=label)
        options = [(name, value) for tag, name, value in page.attributes if tag == "option"]
        places = [at for at, (name, _) in enumerate(options) if name == "selected"]
        assert [options[at - 1] for at in places] == [("value", label)] * bool(label) + [("value", "uri")], label
        for value, text in [*frequent, *own]:
            assert ("value", value) in options
            assert text in page.text
        assert len([value for _, value in options if value]) == 1 + len(own) + 5, label
        assert "The 1 most frequent of 4 labels can be chosen." in page.text


def test_no_vector_and_no_other_partition_is_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from imagefeatures import read

    asked = []
    real = read.batches

    def batches(settings: Settings, table: str, **selection: object) -> object:
        asked.append((table, selection.get("columns"), selection.get("partitions")))
        return real(settings, table, **selection)

    monkeypatch.setattr(read, "batches", batches)
    gallery(site)
    gallery(site, sort="largest", label="=fig")
    assert asked == [("photos", ("uri", "image_id", "label", "width", "height", "size"), ("2026-11-02",))]


def test_what_is_in_labels_and_names_stays_text(site: Site) -> None:
    page = gallery(site)
    assert NAUGHTY in page.text
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]
    assert page.tags.count("img") == len(PHOTOS)


def test_a_partition_of_pixels_alone_has_no_distances(site: Site, settings: Settings) -> None:
    alone = {"model": "none", "pixels": "0f", "fingerprint": ""}
    publish(settings, runs_row("photos", "2026-12-01", {}, **alone))
    path = "/datasets/photos/partitions/2026-12-01/gallery"
    assert "without vectors there are no distances" in site.page(f"{path}?sort=nearest", 404).text
    site.page(path, 503)  # in another order its rows are read, and there is no table of them here


def test_a_stranger_gets_404_and_an_unreadable_table_is_said(site: Site, settings: Settings, tmp_path: Path) -> None:
    user(site, None).page(f"{PARTITION}/gallery", 404)
    for file in tmp_path.glob("*.parquet"):
        file.unlink()
    page = site.page(f"{PARTITION}/gallery", 503)
    assert "The rows of photos 2026-11-02 cannot be read now (CatalogRefused)." in page.text
    assert str(tmp_path) not in page.text
