"""Feature maps: which photos they show, where these lie, and that they go with what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from imagefeatures import cli, read, similarity, storage
from imagefeatures.errors import InputError, StoreError, StoreRefused
from imagefeatures.forget import deny
from imagefeatures.forget.wanted import Wanted
from imagefeatures.maps import choice, compute, stored
from imagefeatures.maps.choice import Choice
from imagefeatures.settings import Settings
from support.auditing import direction, photos
from support.photos import jpeg
from support.publishing import DAY
from support.shown_objects import RUN_ID
from support.web import publish, runs_row

NAUGHTY = '<b>,"\n'


@pytest.fixture
def chosen(settings: Settings, tmp_path: Path) -> Choice:
    """Three figs, a pear, a file of equal bytes, and one without a label."""
    rows = [(f"fig {at}.jpg", jpeg(at), "fig", direction(at)) for at in range(3)]
    rows += [("pear.jpg", jpeg(3), NAUGHTY, direction(90)), ("copy.jpg", jpeg(0), "pear", direction(0))]
    rows += [("none.jpg", jpeg(4), None, direction(80))]
    photos(settings, tmp_path, rows)
    publish(settings, runs_row("photos", DAY, {}, run_id=RUN_ID, registered=6))
    return choice.published(settings, "photos")


def names_of(found: stored.StoredMap) -> list[str]:
    return [uri.rpartition("/")[2] for uri in found.points["uri"].to_pylist()]


def found_map(settings: Settings, of: Choice) -> stored.StoredMap | None:
    return stored.find(settings.lake, of.dataset, of.digest)


def files(settings: Settings) -> list[str]:
    return [listed.uri for listed in storage.list_objects(f"{settings.lake}/maps")]


def test_each_image_is_one_point_with_its_nearest_others(settings: Settings, chosen: Choice) -> None:
    made = stored.make(settings, chosen)
    names = names_of(made)
    assert sorted(names) == ["fig 0.jpg", "fig 1.jpg", "fig 2.jpg", "none.jpg", "pear.jpg"]
    points = dict(zip(names, made.points.to_pylist(), strict=True))
    assert points["pear.jpg"]["label"] == NAUGHTY
    assert points["none.jpg"]["label"] is None
    near = points["pear.jpg"]["near"]
    assert [names[row] for row in near] == ["none.jpg", "fig 2.jpg", "fig 1.jpg", "fig 0.jpg"]
    assert points["pear.jpg"]["cosines"][0] == pytest.approx(np.cos(np.radians(10)), abs=1e-6)
    opened = read.open("photos", settings=settings)
    facts = {name: made.facts[name] for name in ("snapshot", "photos", "images", "shown", "projected", "sample")}
    assert facts == {
        "snapshot": opened.snapshot, "photos": 6, "images": 5, "shown": 5, "projected": 5, "sample": "all images",
    }  # fmt: skip
    assert made.facts["method"].startswith("t-SNE of the first 50 principal components")
    again = stored.make(settings, chosen)
    assert again.points == made.points
    found = found_map(settings, chosen)
    assert found is not None
    assert found.points == made.points
    assert files(settings) == [stored.uri_of(settings.lake, chosen)]


@pytest.mark.long
def test_more_images_are_placed_beside_the_nearest_of_a_seeded_sample(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compute, "PROJECTED", 20)
    monkeypatch.setattr(compute, "SHOWN", 50)
    rows = [(f"{at}.jpg", bytes([at]), f"{at % 2}", direction(90 * (at % 2) + at / 10)) for at in range(60)]
    photos(settings, tmp_path, rows)
    publish(settings, runs_row("photos", DAY, {}, run_id=RUN_ID, registered=60))
    made = compute.compute(settings, choice.published(settings, "photos"))
    assert (made.facts["images"], made.facts["shown"], made.facts["projected"]) == (60, 50, 20)
    assert made.facts["sample"] == "50 of 60 images, by a seeded hash of their image_id"
    assert made.facts["method"].endswith("for 20 of them; each other one in the middle of the 3 of these nearest to it")
    ids = made.points["image_id"].to_pylist()
    assert ids == sorted(ids, key=compute._rank)
    assert ids != sorted(ids)  # or all of them were on one side of a split
    positions = np.column_stack([made.points["x"], made.points["y"]])
    labels = np.array(made.points["label"].to_pylist())
    centres = {label: positions[:20][labels[:20] == label].mean(axis=0) for label in "01"}
    for label, position in zip(labels[20:], positions[20:], strict=True):
        own, other = (np.linalg.norm(position - centres[one]) for one in (label, "10"[int(label)]))
        assert own < other


def test_placing_beside_others_is_their_mean_weighted_by_the_cosines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "PROJECTED", 4)
    unit = similarity.unit_length(np.float32([[1, 0], [0, 1], [-1, 0], [0, -1], [2, 1]]))
    placed = compute.place(unit)
    assert placed[:4].tolist() == [[0, 0], [1, 0], [2, 0], [3, 0]]
    assert placed[4, 0] == pytest.approx((0 * 2 + 1 * 1) / 3, abs=1e-5)  # the third is opposite, and weighs nothing


@pytest.mark.long
def test_the_command_makes_a_map_once_and_says_what_it_is(
    settings: Settings, chosen: Choice, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["map", "photos", "--partition", DAY]) == 0
    said = capsys.readouterr().out
    assert "6 photos, 5 different images" in said
    assert f"{stored.uri_of(settings.lake, chosen)}: made 20" in said
    assert cli.main(["map", "photos"]) == 0
    assert ": was there, made 20" in capsys.readouterr().out
    assert cli.main(["map", "photos", "--partition", "2026-12-24"]) == 65
    assert f"no vectors of partition 2026-12-24 are published; there are {DAY}" in capsys.readouterr().err
    assert cli.main(["map", "../x"]) == 65


def test_photos_of_equal_vectors_are_in_a_row_and_the_map_says_so(settings: Settings, tmp_path: Path) -> None:
    photos(settings, tmp_path, [(f"{at}.jpg", bytes([at]), None, direction(5)) for at in range(6)])
    publish(settings, runs_row("photos", DAY, {}, run_id=RUN_ID, registered=6))
    made = compute.compute(settings, choice.published(settings, "photos"))
    assert made.facts["method"] == "in a row: their vectors are all equal"
    assert made.points["x"].to_pylist() == [*range(6)]


def test_vectors_of_several_kinds_and_pixels_alone_have_no_map(settings: Settings, chosen: Choice) -> None:
    publish(settings, runs_row("photos", "2026-12-01", {}, model="none", pixels="0f"))
    with pytest.raises(InputError, match="no vectors of partition 2026-12-01"):
        choice.published(settings, "photos", ["2026-12-01"])
    with pytest.raises(InputError, match="no vectors are published"):
        choice.published(settings, "pears")


def test_a_map_goes_with_its_partition_and_with_a_new_publication(settings: Settings, chosen: Choice) -> None:
    stored.make(settings, chosen)
    assert stored.remove(settings.lake, "photos", "2026-12-01") == 0
    assert stored.remove(settings.lake, "photos", DAY) == 1
    assert files(settings) == []
    stored.make(settings, chosen)
    other = Choice("photos", ((DAY, "20261101T000000-0a1b2c3d"),))
    storage.write(stored.uri_of(settings.lake, other), stored.encode(feature_map(settings, other)))
    storage.write(f"{settings.lake}/maps/photos/mine.parquet", b"somebody's own")
    stored.make(settings, chosen)
    assert sorted(files(settings)) == sorted(
        [stored.uri_of(settings.lake, chosen), f"{settings.lake}/maps/photos/mine.parquet"]
    )


def feature_map(settings: Settings, of: Choice, **facts: object) -> compute.FeatureMap:
    made = compute.compute(settings, choice.published(settings, "photos"))
    own = {"runs": of.runs, "forgotten": deny.state(settings.lake), "made_at": "2026-11-03T00:00:00+00:00"}
    return compute.FeatureMap(made.points, made.facts | own | facts)


@pytest.mark.long
def test_so_many_maps_are_kept_the_latest(settings: Settings, chosen: Choice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "KEPT", 2)
    empty = [Choice("photos", ()), Choice("photos", chosen.runs * 2)]
    for day, of in enumerate(empty, 1):
        old = feature_map(settings, of, made_at=f"2026-11-{day:02d}T00:00:00+00:00")
        storage.write(stored.uri_of(settings.lake, of), stored.encode(old))
    stored.make(settings, chosen)
    assert sorted(files(settings)) == sorted(stored.uri_of(settings.lake, of) for of in (empty[1], chosen))
    dear = feature_map(settings, empty[0], made_at="2026-11-01T00:00:00+00:00", photos=compute.SHOWN + 1)
    storage.write(stored.uri_of(settings.lake, empty[0]), stored.encode(dear))
    stored.make(settings, chosen)  # another look
    assert sorted(files(settings)) == sorted(stored.uri_of(settings.lake, of) for of in (empty[0], chosen))
    monkeypatch.setattr(stored, "KEPT", 1)
    stored.make(settings, chosen)  # what was just made stays, or each look would make it anew
    assert files(settings) == [stored.uri_of(settings.lake, chosen)]


@pytest.mark.long
def test_what_changes_while_a_map_is_computed_takes_it_away(
    settings: Settings, chosen: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = compute.compute

    def meanwhile(change: str) -> None:
        def computed(settings: Settings, of: Choice) -> compute.FeatureMap:
            made = real(settings, of)
            if change == "forget":
                deny.add(settings.lake, "20261103T000000-00000000", ["0" * 64], [])
            else:
                rows = [runs_row("photos", "2026-12-01", {})] if change == "unpublish" else []
                monkeypatch.setattr(read, "runs", lambda *_: rows)
            return made

        monkeypatch.setattr(stored, "compute", computed)

    for change in ("forget", "unpublish", "unpublish all"):
        meanwhile(change)
        with pytest.raises(StoreError, match="photos has changed while its map was computed"):
            stored.make(settings, chosen)
        assert files(settings) == []


def test_a_map_that_names_a_forgotten_image_is_found_deleted_and_not_shown(settings: Settings, chosen: Choice) -> None:
    made = stored.make(settings, chosen)
    uri = stored.uri_of(settings.lake, chosen)
    ids, uris = (made.points[name].to_pylist() for name in ("image_id", "uri"))
    assert stored.holding(settings.lake, Wanted(frozenset([ids[1]]))) == [uri]
    assert stored.holding(settings.lake, Wanted(frozenset(), frozenset([uris[1]]))) == [uri]
    assert stored.holding(settings.lake, Wanted(frozenset(["f" * 64]))) == []
    deny.add(settings.lake, "20261103T000000-00000000", ["f" * 64], [])
    assert found_map(settings, chosen) is not None  # another image was forgotten
    deny.add(settings.lake, "20261103T000000-00000001", [], [uris[1]])
    assert found_map(settings, chosen) is None
    assert files(settings) == []


def test_a_damaged_map_counts_for_nothing_and_is_forgotten_with_any_image(
    settings: Settings, chosen: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.make(settings, chosen)
    uri = stored.uri_of(settings.lake, chosen)
    whole = storage.read(uri)
    foreign = Path(settings.lake.removeprefix("file://"), "x.parquet")
    pq.write_table(read.table(settings, "photos", columns=("uri",)), foreign)
    for data in (b"", whole[: len(whole) // 2], whole[:-9] + b"123456789", foreign.read_bytes()):
        storage.write(uri, data)
        assert stored.holding(settings.lake, Wanted(frozenset(["f" * 64]))) == [uri]
        with monkeypatch.context() as read_only:
            read_only.setattr(storage, "delete", refuse)
            assert found_map(settings, chosen) is None
        assert files(settings) == [uri]
        assert found_map(settings, chosen) is None
        assert files(settings) == []


def refuse(uri: str, *_: object) -> None:
    raise StoreRefused(f"{uri}: 403 AccessDenied")
