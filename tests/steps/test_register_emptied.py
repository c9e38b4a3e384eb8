"""A source that has become empty is published as empty where the dataset says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures import read
from imagefeatures.local import run_steps
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun

DAYS = ("2026-11-01", "2026-11-02")
PUBLISHED = {"photos": 2, "photos_pixels": 2, "quarantine": 1, "runs": 1}


@pytest.mark.long
def test_an_emptied_source_empties_its_partition_where_the_dataset_says_so(
    make_run: MakeRun, settings: Settings, tmp_path: Path
) -> None:
    photos = fill(tmp_path / "photos", {"a.jpg": jpeg(1), "b.jpg": jpeg(2), "bad.jpg": b""})
    nothing = tmp_path / "nothing"
    nothing.mkdir()

    def published(source: Path, partition: str) -> register.Outcome:
        run = make_run(source, partition=partition, on_empty="publish", pixels="keep", limits={"max_rejected": 0.5})
        run_steps(run, THIS_PROCESS)
        return register.register(run.layout.run_file, settings)

    def rows(partition: str) -> dict[str, int]:
        return {name: read.table(settings, name, partitions=(partition,)).num_rows for name in PUBLISHED}

    for day in DAYS:
        published(photos, day)
    outcome = published(nothing, DAYS[1])
    assert outcome.state == register.REGISTERED
    assert "0 listed = 0 registered (0 reused, 0 computed) + 0 quarantined (none)" in str(outcome)
    assert rows(DAYS[0]) == PUBLISHED
    assert rows(DAYS[1]) == dict.fromkeys(PUBLISHED, 0) | {"runs": 1}
    (row,) = [row for row in read.runs(settings) if row["partition_key"] == DAYS[1]]
    assert (row["run_id"], row["listed"], dict(row["reasons"])) == (outcome.row["run_id"], 0, {})
    assert published(photos, DAYS[1]).summary["registered"] == 2
