"""Published partitions, as far as a user may see them: what every page of one, or of several, begins with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from imagefeatures import names
from imagefeatures.layout import Layout
from imagefeatures.settings import Settings
from imagefeatures_airflow.web import access
from imagefeatures_airflow.web.datasets import current_settings
from imagefeatures_airflow.web.published import Row, published
from imagefeatures_airflow.web.threads import in_thread


class NotShown(Exception):
    """There is no such page for this user. Its text is one line for the page."""


@dataclass(frozen=True)
class Partition:
    """A published partition that the user may see. row: its row of features.runs."""

    settings: Settings
    row: Row

    @property
    def dataset(self) -> str:
        return str(self.row["dataset"])

    @property
    def key(self) -> str:
        return str(self.row["partition_key"])

    @property
    def run_id(self) -> str:
        return str(self.row["run_id"])

    @property
    def table(self) -> str:
        """The table with its photos, without the namespace: that of the first model, or of the pixels alone."""
        return names.tables_of_run(self.row)[0]

    @property
    def has_vectors(self) -> bool:
        """Whether its table has vectors; a run may publish pixels alone."""
        return names.has_vectors(self.row)

    @property
    def layout(self) -> Layout:
        return Layout(self.settings.lake, self.dataset, self.key, self.run_id)

    @property
    def has_pixels(self) -> bool:
        """Whether the run published pixels too."""
        return names.pixels_table(self.dataset) in names.tables_of_run(self.row)


def has_names_of_ours(row: Row) -> bool:
    """Whether dataset, partition and run of a row are names that a run has: they become parts of paths and conditions.

    Others are shown as texts, and nothing is read for them.
    """
    patterns = {"dataset": names.DATASET_NAME, "partition_key": names.PARTITION, "run_id": names.PARTITION}
    return all(re.fullmatch(pattern, str(row[field])) for field, pattern in patterns.items())


async def with_vectors(user: access.User, dataset: str) -> list[Partition]:
    """The dataset's published partitions that have vectors, newest first; none for whom may not see it.

    Raises Unavailable.
    """
    settings = current_settings()
    runs = (await published(settings)).get(dataset, [])
    found = [Partition(settings, row) for row in runs if has_names_of_ours(row)]
    if not found or not await in_thread(lambda: access.readable(user, {dataset})):
        return []
    return [of for of in found if of.has_vectors]


async def shown(user: access.User, dataset: str, partition: str) -> Partition:
    """The partition of that name. Raises NotShown where there is none that the user may see, and Unavailable."""
    settings = current_settings()
    runs = await published(settings)
    row = next((row for row in runs.get(dataset, ()) if row["partition_key"] == partition), None)
    if row is None or not has_names_of_ours(row) or not await in_thread(lambda: access.readable(user, {dataset})):
        raise NotShown(
            f"Dataset {dataset} has nothing published for partition {partition}, or nothing that you may see."
        )
    return Partition(settings, row)


Shown = Annotated[Partition, Depends(shown)]
"""The guard of a route with `dataset` and `partition`: the partition, or the page that says that there is none."""
