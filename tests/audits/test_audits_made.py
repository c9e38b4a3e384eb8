"""How an audit is made and kept, without the process: what stays, what goes, and what another process has removed."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Hashable
from pathlib import Path

import pytest

from imagefeatures.audits import kept
from imagefeatures.audits.kept import Audit, KeptAudits
from imagefeatures.background import Background, Command, Waits
from imagefeatures.maps.choice import Choice
from imagefeatures.settings import Settings
from support.publishing import DAY

RUN = "20261102T000000-0a1b2c3d"
LONG = "f" * 200_000
BEGUN = Waits("it has begun")


@pytest.fixture
def own_cache(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The command writes its tables at once."""

    def run(_: Background, key: Hashable, command: Command) -> Waits:
        with command as arguments:
            draft = Path(arguments[-1].removeprefix("--to="))
            assert draft.is_dir()
            (draft / "labels.csv").write_text(f"uri,label\na,{LONG}\nb,pear\n")
            (draft / "duplicates.csv").write_text("uri,other_uri\n")
        return BEGUN

    monkeypatch.setattr(Background, "run", run)
    return dataclasses.replace(settings, cache=tmp_path / "cache")


def of(partition: str, run_id: str = RUN) -> Choice:
    return Choice("photos", ((partition, run_id),))


def place(settings: Settings, partition: str, run_id: str = RUN) -> Path:
    return settings.cache / "audits" / "photos" / partition / run_id


def made(settings: Settings, partition: str, run_id: str = RUN) -> Audit:
    """The audit of a partition, which is made first where it is not there."""
    audits = KeptAudits(settings)
    if not place(settings, partition, run_id).exists():
        assert audits.of(of(partition, run_id)) == BEGUN
    audit = audits.of(of(partition, run_id))
    assert isinstance(audit, Audit)
    return audit


def quick_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on another process is quicker wherever a folder is to be removed."""
    real = shutil.rmtree

    def removed_already(folder: Path, ignore_errors: bool = False) -> None:
        real(folder, ignore_errors=True)
        real(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", removed_already)


def test_a_finished_audit_says_its_rows_and_holds_a_text_of_any_length(own_cache: Settings) -> None:
    audit = made(own_cache, DAY)
    assert audit == Audit(place(own_cache, DAY), {"labels": 2, "duplicates": 0})
    assert [row["label"] for row in audit.first("labels", 0, 5)] == [LONG, "pear"]
    assert sorted(path.name for path in audit.folder.parent.iterdir()) == [RUN]  # nothing else is left
    assert made(own_cache, DAY, "a later run").rows == audit.rows


def test_the_audits_that_were_looked_at_last_are_kept(own_cache: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "KEPT", 2)
    for number, partition in enumerate(("x", "y")):
        made(own_cache, partition)
        os.utime(place(own_cache, partition), (number, number))
    made(own_cache, "x")  # somebody looks at the older one
    quick_others(monkeypatch)
    made(own_cache, "z")
    assert [place(own_cache, partition).exists() for partition in "xyz"] == [True, False, True]


def test_an_audit_is_old_before_the_moment_and_not_at_it(own_cache: Settings) -> None:
    for number, partition in enumerate(("x", "y")):
        made(own_cache, partition)
        os.utime(place(own_cache, partition), (1000 + number, 1000 + number))
    (place(own_cache, "a draft")).mkdir(parents=True)
    assert kept.older_than(own_cache.cache, 1001) == [place(own_cache, "x")]
    assert kept.older_than(own_cache.cache, 1000) == []


@pytest.mark.parametrize("damage", ["no facts", "cut", "rows", "another state"])
def test_a_damaged_audit_is_made_anew(own_cache: Settings, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    audit = made(own_cache, DAY)
    facts = audit.folder / kept.FACTS
    whole = json.loads(facts.read_text())
    if damage == "no facts":
        facts.unlink()
    elif damage == "cut":
        facts.write_text(facts.read_text()[:-5])
    else:
        other = whole | {"forgotten": "another"}
        facts.write_text(
            json.dumps(other if damage == "another state" else {name: whole[name] for name in ("format", "forgotten")})
        )
    quick_others(monkeypatch)
    audits = KeptAudits(own_cache)
    assert audits.of(of(DAY)) == BEGUN
    assert audits.of(of(DAY)) == audit
    assert json.loads(facts.read_text()) == whole


def test_a_command_that_fails_leaves_nothing(own_cache: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Background, key: Hashable, command: Command) -> Waits:
        with command:
            raise OSError("it has failed")

    monkeypatch.setattr(Background, "run", fails)
    with pytest.raises(OSError, match="it has failed"):
        KeptAudits(own_cache).of(of(DAY))
    assert list(place(own_cache, DAY).parent.iterdir()) == []


def test_what_another_process_has_removed_meanwhile_is_no_error(
    own_cache: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(own_cache, "x")
    old = time.time() - kept.ABANDONED_SECONDS - 60
    left, file = place(own_cache, "x", ".left"), place(own_cache, "x", ".a file")
    left.mkdir()
    file.write_text("somebody's own")
    for path in (left, file):
        os.utime(path, (old, old))
    quick_others(monkeypatch)
    made(own_cache, "y")
    assert not left.exists()
    assert file.exists()
    assert kept.remove(own_cache.cache, [("photos", "x"), ("photos", "y")]) == 3
    assert not place(own_cache, "x").exists()
