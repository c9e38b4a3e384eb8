"""Audits for people who look at them: computed once, one at a time, bounded, and kept."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import time
from collections.abc import Hashable
from pathlib import Path

import pytest

from imagefeatures import names
from imagefeatures.audits import kept
from imagefeatures.audits.kept import Audit, KeptAudits
from imagefeatures.background import Background, Command, UnderWay, Waits
from imagefeatures.forget import deny
from imagefeatures.maps.choice import Choice
from imagefeatures.settings import Settings
from support.auditing import direction, photos
from support.photos import jpeg
from support.publishing import DAY
from support.shared import until

RUN = "20261102T000000-0a1b2c3d"
NAUGHTY = '=<b>,"\n\r'


@pytest.fixture
def own_cache(settings: Settings, tmp_path: Path) -> Settings:
    return dataclasses.replace(settings, cache=tmp_path / "cache")


@pytest.fixture
def one() -> Choice:
    return Choice("photos", ((DAY, RUN),))


def finished(audits: KeptAudits, one: Choice) -> Audit | Waits:
    until(lambda: not isinstance(audits.of(one), UnderWay))
    found = audits.of(one)
    assert not isinstance(found, UnderWay)
    return found


def test_it_is_what_the_command_finds_and_is_computed_once(own_cache: Settings, one: Choice, tmp_path: Path) -> None:
    same = jpeg(1)
    rows = [(f"{at}.jpg", jpeg(at), "fig", direction(at)) for at in range(2, 9)]
    rows += [("a.jpg", same, NAUGHTY, direction(4)), ("b.jpg", same, "fig", direction(4))]
    photos(own_cache, tmp_path, rows)
    audits = KeptAudits(own_cache)
    begun = audits.of(one)
    assert isinstance(begun, UnderWay)
    assert os.getpriority(os.PRIO_PROCESS, begun.process.pid) == 19
    other = audits.of(Choice("photos", (("2026-11-03", RUN),)))
    assert other == Waits("Another audit is under way; this one begins after it.")
    audit = finished(audits, one)
    assert isinstance(audit, Audit)
    assert audit.rows == {"labels": 8, "duplicates": 1}  # b.jpg has the bytes of a.jpg: it is no neighbour of itself
    first, second = audit.first("labels", 0, 2)
    assert (first["label"], first["suggested"], float(first["doubt"])) == (NAUGHTY, "fig", 1)
    assert audit.first("labels", 1, 1) == [second]
    assert audit.first("labels", 8, 5) == []
    (pair,) = audit.first("duplicates", 0, 10)
    assert (pair["kind"], pair["label"], pair["other_label"]) == ("exact", NAUGHTY, "fig")
    assert KeptAudits(own_cache).of(one) == audit  # another process of the server
    kept = ["duplicates.csv", "duplicates.parquet", "facts.json", "labels.csv", "labels.parquet", "search.json"]
    assert sorted(path.name for path in audit.folder.iterdir()) == kept


def test_a_failure_is_said_and_not_tried_at_every_look(
    own_cache: Settings, one: Choice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    audits = KeptAudits(own_cache)
    found = finished(audits, one)
    assert found == Waits(
        "The audit has failed; the log of Airflow's API server says why. It can be tried again 5 minutes after that.",
        again=False,
    )
    assert "features.photos: no such dataset is published" in caplog.text
    assert list((own_cache.cache / "audits").rglob("*.csv")) == []
    monkeypatch.setattr(kept, "SECONDS", 0.05)
    caplog.clear()
    assert isinstance(KeptAudits(own_cache).of(one), UnderWay)
    until(lambda: "exit status -9" in caplog.text)  # it was ended


@pytest.mark.parametrize("made_by", [{}, {"format": 2}, {"format": kept.FORMAT}], ids=["1", "2", "this version"])
def test_tables_of_a_version_before_are_made_anew(
    own_cache: Settings, one: Choice, monkeypatch: pytest.MonkeyPatch, made_by: dict[str, int]
) -> None:
    folder = own_cache.cache / "audits" / "photos" / DAY / RUN
    folder.mkdir(parents=True)
    facts = {"rows": {"labels": 1, "duplicates": 0}, "forgotten": deny.state(own_cache.lake), **made_by}
    (folder / kept.FACTS).write_text(json.dumps(facts))
    (folder / "labels.csv").write_text("label\n'tis\n")

    def refuse(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(subprocess, "Popen", refuse)  # it would begin
    found = KeptAudits(own_cache).of(one)
    assert folder.exists() == isinstance(found, Audit) == (made_by == {"format": kept.FORMAT})


def test_a_folder_that_cannot_be_written_is_said(own_cache: Settings, one: Choice) -> None:
    own_cache.cache.write_bytes(b"no folder")
    assert "names no folder that can be written" in str(KeptAudits(own_cache).of(one))


@pytest.mark.long
def test_the_audits_that_were_looked_at_last_are_kept(
    own_cache: Settings, one: Choice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(own_cache, tmp_path, [("a.jpg", jpeg(1), "fig", direction(1)), ("b.jpg", jpeg(2), "pear", direction(1))])
    monkeypatch.setattr(kept, "KEPT", 2)
    audits = KeptAudits(own_cache)
    for number, name in enumerate(("x", "y")):
        folder = own_cache.cache / "audits" / "photos" / name / RUN
        folder.mkdir(parents=True)
        (folder / "facts.json").write_text(
            json.dumps(
                {"format": kept.FORMAT, "rows": {"labels": 0, "duplicates": 0}, "forgotten": deny.state(own_cache.lake)}
            )
        )
        os.utime(folder, (number, number))
    assert isinstance(audits.of(Choice("photos", (("x", RUN),))), Audit)
    assert isinstance(finished(audits, one), Audit)
    until(lambda: not (own_cache.cache / "audits" / "photos" / "y" / RUN).exists())
    assert isinstance(audits.of(Choice("photos", (("x", RUN),))), Audit)


def test_what_a_killed_server_has_left_is_removed_by_the_next_audit_and_nothing_else_is(
    own_cache: Settings, one: Choice
) -> None:
    folder = own_cache.cache / "audits"
    left, under_way = folder / "other" / DAY / ".left", folder / "photos" / DAY / ".now"
    whole = folder / "a" / DAY / RUN
    for place in (left, under_way, whole):
        place.mkdir(parents=True)
        (place / "labels.csv").write_text("uri")
    for place in (left, whole):
        os.utime(place, (1, time.time() - kept.ABANDONED_SECONDS - 60))
    assert isinstance(finished(KeptAudits(own_cache), one), Waits)  # there is no such dataset: it fails
    assert sorted(found.parent for found in folder.rglob("labels.csv")) == sorted([under_way, whole])


def test_an_audit_of_several_partitions_has_a_place_of_its_own_and_names_them(
    own_cache: Settings, one: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = Choice("photos", ((DAY, RUN), ("2026-11-03", "r3")))
    begun: list[list[str]] = []

    def run(_: Background, key: Hashable, command: Command) -> Waits:
        with contextlib.suppress(FileNotFoundError), command as arguments:  # it writes no tables
            begun.append([re.sub("/[.][^/]*$", "/DRAFT", argument) for argument in arguments])
        return Waits("no")

    monkeypatch.setattr(Background, "run", run)
    for choice in (one, several):
        assert KeptAudits(own_cache).of(choice) == Waits("no")
    folder = own_cache.cache / "audits" / "photos"
    assert begun == [
        ["audit", "photos", f"--partition={DAY}", f"--to={folder / DAY}/DRAFT"],
        ["audit", "photos", f"--partition={DAY}", "--partition=2026-11-03", f"--to={folder}/_several/DRAFT"],
    ]
    assert not re.search(names.PARTITION, kept.SEVERAL)
    place = folder / kept.SEVERAL / several.digest
    place.mkdir()
    facts = {"rows": {"labels": 0}, "forgotten": deny.state(own_cache.lake), "format": kept.FORMAT}
    (place / kept.FACTS).write_text(json.dumps(facts))
    assert KeptAudits(own_cache).of(several) == Audit(place, {"labels": 0})
    anew = Choice("photos", ((DAY, RUN), ("2026-11-03", "r4")))
    assert KeptAudits(own_cache).of(anew) == Waits("no")  # one of them was published anew
    deny.add(own_cache.lake, "20261103T000000-00000000", ["f" * 64], [])
    assert KeptAudits(own_cache).of(several) == Waits("no")
    assert not place.exists()


def test_forgetting_in_one_partition_takes_the_audits_of_several_of_the_dataset(own_cache: Settings) -> None:
    audits = own_cache.cache / "audits"
    places = [
        audits / "photos" / kept.SEVERAL / "0f",
        audits / "photos" / DAY / RUN,
        audits / "x" / kept.SEVERAL / "0f",
    ]
    for place in places:
        place.mkdir(parents=True)
        (place / "labels.parquet").write_bytes(b"uri")
    assert kept.remove(own_cache.cache, [("photos", "2026-11-03"), ("photos", "never")]) == 1
    assert [place.exists() for place in places] == [False, True, True]


def test_what_is_half_finished_is_forgotten_too(own_cache: Settings) -> None:
    places = [own_cache.cache / "audits" / "photos" / key / name for key in (DAY, "x") for name in (RUN, ".left")]
    for place in places:
        place.mkdir(parents=True)
        (place / "labels.csv").write_text("uri")
    assert kept.remove(own_cache.cache, [("photos", DAY), ("photos", "never")]) == 2
    assert [place.exists() for place in places] == [False, False, True, True]
