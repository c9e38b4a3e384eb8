"""A published partition with quarantined objects, and re-drives of it, step by step in one process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagefeatures import local, read, storage
from imagefeatures.datasets import Dataset
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.redrive import choose
from imagefeatures.run_params import RedriveParams, RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from imagefeatures.steps.register import Outcome
from imagefeatures.workers import Workers
from support.photos import fill, jpeg
from support.shared import PARTITION, THIS_PROCESS

GOOD, BAD, MENDED = 25, 40, 30
NAME = "photos"


@dataclass(frozen=True)
class Partition:
    """The partition of a dataset, and what its tables hold."""

    dataset: Dataset
    settings: Settings
    key: str = PARTITION

    def publish(self, workers: Workers = THIS_PROCESS, **params: Any) -> Outcome:
        """A run of the whole partition, with small shards."""
        return register.register(self.whole_run(workers, **params).layout.run_file, self.settings)

    def whole_run(self, workers: Workers = THIS_PROCESS, **params: Any) -> Run:
        """The same, ready to register."""
        given = RunParams.parse({"shard_images": 20, "max_rejected": 1, **params})
        run = load_run(plan_run(self.dataset, given, self.key, self.settings))
        local.run_steps(run, workers)
        return run

    def planned(self, **params: Any) -> Run:
        """A re-drive that is planned. It must have something to do."""
        given = RedriveParams.parse({"partition": self.key, **params})
        (partition,) = choose.partitions(self.dataset, given, self.settings)
        run_file = choose.plan_redrive(self.dataset, given, partition, self.settings)
        assert run_file
        return load_run(run_file)

    def ready(self, workers: Workers = THIS_PROCESS, **params: Any) -> Run:
        """A re-drive that is ready to register."""
        run = self.planned(**params)
        local.run_steps(run, workers)
        return run

    def redrive(self, workers: Workers = THIS_PROCESS, **params: Any) -> Outcome:
        return register.register(self.ready(workers, **params).layout.run_file, self.settings)

    def rows(self, table: str) -> dict[str, dict[str, Any]]:
        """The rows of the partition by URI. Of quarantine, which all datasets share, those of this one."""
        of_day = read.table(self.settings, table, partitions=(self.key,)).to_pylist()
        rows = [row for row in of_day if row.get("dataset", self.dataset.name) == self.dataset.name]
        found = {row["uri"]: row for row in rows}
        assert len(found) == len(rows)
        return found

    @property
    def features(self) -> dict[str, dict[str, Any]]:
        return self.rows(self.dataset.name)

    @property
    def quarantine(self) -> dict[str, dict[str, Any]]:
        return self.rows("quarantine")

    @property
    def run(self) -> dict[str, Any]:
        (row,) = [row for row in read.runs(self.settings, self.dataset.name) if row["partition_key"] == self.key]
        return row

    def check(self) -> None:
        """The three tables hold one run, and its numbers are those of its rows."""
        features, quarantine, run = self.features, self.quarantine, self.run
        assert {row["run_id"] for row in [*features.values(), *quarantine.values()]} == {run["run_id"]}
        assert (len(features), len(quarantine)) == (run["registered"], run["quarantined"])
        assert run["listed"] == run["registered"] + run["quarantined"]
        assert not features.keys() & quarantine.keys()
        reasons = [row["reason"] for row in quarantine.values()]
        assert dict(run["reasons"]) == {reason: reasons.count(reason) for reason in set(reasons)}


def bad_name(at: int) -> str:
    return f"{PARTITION}/{'red' if at % 2 else 'green'}/bad{at:02d}.jpg"


def whole(at: int) -> bytes:
    """What the object of `bad_name` is once it is mended."""
    return jpeg(100 + at, 40, 30)


def broken(at: int) -> bytes:
    """Empty, truncated, or no image, by turns."""
    return [b"", whole(at)[:-20], b"no image"][at % 3]


def bad_partition(folder: Path, settings: Settings, **fields: Any) -> Partition:
    """GOOD photos and BAD objects that are none, in a folder; nothing is published yet."""
    good = {f"{PARTITION}/red/{at:02d}.jpg": jpeg(at, 40, 30) for at in range(GOOD)}
    fill(folder, good | {bad_name(at): broken(at) for at in range(BAD)})
    return Partition(
        Dataset.model_validate({"name": NAME, "source": f"file://{folder}/{{partition}}/", **fields}), settings
    )


SMALL = ("empty.jpg", "cut.jpg", "text.jpg")


def small_partition(folder: Path | str, settings: Settings, key: str = PARTITION, **fields: Any) -> Partition:
    """A published partition: two photos and the three objects SMALL that are none. folder: or the URI of one."""
    root = folder if isinstance(folder, str) else f"file://{folder}"
    bad = dict(zip(SMALL, (b"", jpeg(1, 40, 30)[:-20], b"no image"), strict=True))
    for name, data in {"a.jpg": jpeg(2, 40, 30), "b.jpg": jpeg(3, 40, 30), **bad}.items():
        storage.write(f"{root}/{key}/{name}", data)
    dataset = Dataset.model_validate({"name": NAME, "source": f"{root}/{{partition}}/", **fields})
    partition = Partition(dataset, settings, key)
    partition.publish()
    return partition


def mend(folder: Path | str, *names: str, key: str = PARTITION) -> None:
    """Some of SMALL become photos, each another one."""
    root = folder if isinstance(folder, str) else f"file://{folder}"
    for name in names:
        storage.write(f"{root}/{key}/{name}", jpeg(10 + SMALL.index(name), 40, 30))


def names_of(rows: dict[str, dict[str, Any]]) -> set[str]:
    """The last part of each row's URI."""
    return {uri.rsplit("/", 1)[-1] for uri in rows}


def without_run(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows without the run that published them."""
    return {uri: {name: value for name, value in row.items() if name != "run_id"} for uri, row in rows.items()}
