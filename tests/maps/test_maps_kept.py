"""Which maps the lake keeps, which leave, and which count for nothing; none of them is computed here."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures import read, storage
from imagefeatures.errors import StoreError
from imagefeatures.forget import deny
from imagefeatures.forget.wanted import Wanted
from imagefeatures.maps import choice, compute, stored
from imagefeatures.maps.choice import Choice
from imagefeatures.settings import Settings
from support.map_files import CHOSEN, IDS, RUN, drawn, files, gone_after_a_listing, keep
from support.publishing import DAY
from support.web import publish, runs_row

OTHER_DAY = "2026-12-01"


@pytest.fixture
def _published(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """CHOSEN is published, and its map is drawn at once."""
    publish(settings, runs_row("photos", DAY, {}, run_id=RUN))
    monkeypatch.setattr(stored, "compute", lambda *_: drawn())


@pytest.mark.usefixtures("_published")
def test_a_choice_is_of_the_named_partitions_each_once_and_of_one_dataset(settings: Settings) -> None:
    publish(settings, runs_row("photos", OTHER_DAY, {}, run_id="other"))
    publish(settings, runs_row("photos", "2026-12-02", {}, model="none", pixels="0f"))
    assert choice.published(settings, "photos").partitions == (DAY, OTHER_DAY)
    assert choice.published(settings, "photos", [OTHER_DAY, OTHER_DAY]).runs == ((OTHER_DAY, "other"),)
    assert choice.published(settings, "photos", [OTHER_DAY, DAY]).partitions == (DAY, OTHER_DAY)
    digests = {Choice(name, runs).digest for name in ("photos", "pears") for runs in (CHOSEN.runs, ((DAY, "other"),))}
    assert len(digests) == 4


@pytest.mark.usefixtures("_published")
@pytest.mark.parametrize("change", ["forget", "unpublish", "unpublish all", "another partition"])
def test_what_changes_while_a_map_is_computed_takes_it_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    def meanwhile(*_: object) -> compute.FeatureMap:
        if change == "forget":
            deny.add(settings.lake, "20261103T000000-00000000", ["0" * 64], [])
        elif change == "another partition":
            publish(settings, runs_row("photos", OTHER_DAY, {}))
        else:
            rows = [runs_row("photos", OTHER_DAY, {})] if change == "unpublish" else []
            monkeypatch.setattr(read, "runs", lambda *_: rows)
        return drawn()

    monkeypatch.setattr(stored, "compute", meanwhile)
    if change == "another partition":  # which the map does not show
        stored.make(settings, CHOSEN)
        assert files(settings) == {stored.uri_of(settings.lake, CHOSEN)}
        return
    with pytest.raises(StoreError, match="photos has changed while its map was computed"):
        stored.make(settings, CHOSEN)
    assert files(settings) == set()


@pytest.mark.usefixtures("_published")
def test_the_maps_that_were_made_last_are_kept_and_those_of_many_photos(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "KEPT", 3)
    others = sorted((Choice("photos", CHOSEN.runs * times) for times in range(2, 6)), key=lambda of: of.digest)
    # The first by name is the second by age: of `photos` not one more than a look may show.
    moments = (3, 1, 2, 4)
    photos = (compute.SHOWN, compute.SHOWN + 1, 7, None)
    uris = [
        keep(settings, of, made_at=f"2026-11-{day:02d}T00:00:00+00:00", photos=count)
        for of, day, count in zip(others, moments, photos, strict=True)
    ]
    made = stored.uri_of(settings.lake, CHOSEN)
    stored.make(settings, CHOSEN)
    assert files(settings) == {uris[1], uris[3], made}  # that of many photos, the latest, and the one just made
    monkeypatch.setattr(stored, "KEPT", 1)
    stored.make(settings, CHOSEN)
    assert files(settings) == {made}


@pytest.mark.usefixtures("_published")
def test_with_a_new_map_go_those_that_are_damaged_or_show_what_is_not_published(settings: Settings) -> None:
    keep(settings, Choice("photos", ((DAY, "an older run"),)))
    keep(settings, Choice("photos", (*CHOSEN.runs, (OTHER_DAY, RUN))))
    of_another = keep(settings, Choice("pears", ((DAY, "an older run"),)))
    storage.write(stored.uri_of(settings.lake, Choice("photos", ())), b"damaged")
    made = stored.make(settings, CHOSEN)
    assert files(settings) == {stored.uri_of(settings.lake, CHOSEN), of_another}
    found = stored.find(settings.lake, "photos", CHOSEN.digest)
    assert found is not None
    assert found.facts == {**made.facts, "runs": [[DAY, RUN]]}


def test_a_map_leaves_with_its_partition_and_so_does_a_damaged_one(settings: Settings) -> None:
    both = keep(settings, Choice("photos", (*CHOSEN.runs, (OTHER_DAY, RUN))))
    first, of_another = keep(settings), keep(settings, Choice("pears", CHOSEN.runs))
    damaged = stored.uri_of(settings.lake, Choice("photos", ()))
    storage.write(damaged, b"damaged")
    assert stored.remove(settings.lake, "photos", OTHER_DAY) == 2
    assert files(settings) == {first, of_another}
    assert both != damaged
    assert stored.remove(settings.lake, "photos", DAY) == 1
    assert files(settings) == {of_another}


@pytest.mark.parametrize("name", ["runs", "forgotten", "made_at"])
def test_a_file_that_lacks_a_fact_is_no_map(settings: Settings, name: str) -> None:
    uri = keep(settings, **{name: None})
    assert [(listed.uri, facts) for listed, facts in stored.with_facts(settings.lake)] == [(uri, None)]
    assert stored.find(settings.lake, "photos", CHOSEN.digest) is None
    assert files(settings) == set()


@pytest.mark.parametrize("by", ["image_id", "uri"])
def test_a_map_that_shows_what_was_forgotten_is_not_shown(settings: Settings, by: str) -> None:
    keep(settings)
    assert stored.find(settings.lake, "photos", CHOSEN.digest) is not None
    ids, uris = ([IDS[1]], []) if by == "image_id" else ([], ["s3://b/1.jpg"])
    deny.add(settings.lake, "20261103T000000-00000000", ids, uris)
    assert stored.find(settings.lake, "photos", CHOSEN.digest) is None
    assert files(settings) == set()


def test_a_map_that_another_process_deletes_is_passed_over(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = keep(settings)
    other = keep(settings, Choice("photos", ()))
    assert set(stored.holding(settings.lake, Wanted(frozenset(IDS[:1])))) == {uri, other}
    gone_after_a_listing(monkeypatch, uri)
    assert stored.holding(settings.lake, Wanted(frozenset(IDS[:1]))) == [other]
    keep(settings)
    assert [listed.uri for listed, _ in stored.with_facts(settings.lake, "photos")] == [other]
    assert not Path(uri.removeprefix("file://")).exists()
