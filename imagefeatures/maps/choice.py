"""Of which published partitions a map, or an audit, is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagefeatures import names, read
from imagefeatures.errors import InputError
from imagefeatures.reasons import printable
from imagefeatures.settings import Settings


@dataclass(frozen=True)
class Choice:
    """Partitions of a dataset, each as one run has published it. runs: (partition key, run_id), in order.

    >>> one = Choice.of("fruit", [{"partition_key": "2026-11-02", "run_id": "r2"}])
    >>> other = Choice.of("fruit", [{"partition_key": "2026-11-02", "run_id": "r3"}])
    >>> one.partitions, one.digest == other.digest, len(one.digest)
    (('2026-11-02',), False, 32)
    """

    dataset: str
    runs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, dataset: str, rows: Iterable[Mapping[str, Any]]) -> Choice:
        """The choice of these rows of features.runs."""
        return cls(dataset, tuple(sorted((str(row["partition_key"]), str(row["run_id"])) for row in rows)))

    @property
    def partitions(self) -> tuple[str, ...]:
        return tuple(partition for partition, _ in self.runs)

    @property
    def digest(self) -> str:
        """A name for it: another one as soon as one of the partitions is published anew."""
        return hashlib.sha256(json.dumps([self.dataset, *self.runs]).encode()).hexdigest()[:32]


def published(settings: Settings, dataset: str, partitions: Sequence[str] | None = None) -> Choice:
    """The partitions as they are published now; None: all of them.

    Raises InputError where one is not published, or has pixels alone, and what `read.runs` raises.
    """
    rows = [row for row in read.runs(settings, dataset) if names.tables_of_run(row)[0] == dataset]
    there = {str(row["partition_key"]): row for row in rows}
    if not there:
        raise InputError(f"{names.table_name(dataset)}: no vectors are published")
    for partition in partitions or ():
        if partition not in there:
            raise InputError(
                f"{names.table_name(dataset)}: no vectors of partition {printable(partition)} are published; there are "
                f"{', '.join(sorted(there)[-10:])}"
            )
    return Choice.of(dataset, [there[one] for one in dict.fromkeys(partitions or there)])
