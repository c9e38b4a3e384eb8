"""How far each photo of a partition is from the centre of its label: those that are far look unlike the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from imagefeatures import names, similarity
from imagefeatures.catalog import failures, snapshots
from imagefeatures.readers.parquet import first_rows, plan_batches, schema_of
from imagefeatures.readers.vectors import vectors
from imagefeatures.settings import Settings

DISTANCE = "distance"
"""1 minus the cosine between a photo's vector and the mean of the vectors of its label, each of length 1: 0 to 2."""


def with_distances(settings: Settings, dataset: str, partition: str, columns: Sequence[str], most: int) -> pa.Table:
    """`columns` and DISTANCE of the partition's first `most` photos, in the order of the table.

    Photos without a label have a centre of their own. The vectors are read twice and never held: memory for the
    columns and the centres. Raises as `read.batches`.
    """
    plan = snapshots.plan(settings, dataset, {"partitions": (partition,), "copies": False})
    wanted = list(dict.fromkeys((*columns, "label")))

    def batches(names_of_columns: Sequence[str]) -> Iterator[tuple[pa.RecordBatch, list[str | None], np.ndarray]]:
        rows = first_rows(plan_batches(plan, dataset, (*names_of_columns, "features")), most)
        for batch in failures.each(rows, names.table_name(dataset), settings.catalog):
            yield batch, batch["label"].to_pylist(), similarity.unit_length(vectors(batch))

    sums: dict[str | None, np.ndarray] = {}
    for _, labels, unit in batches(["label"]):
        for label in set(labels):
            whole = unit[[other == label for other in labels]].sum(axis=0, dtype=np.float64)
            sums[label] = sums[label] + whole if label in sums else whole
    # Each label has a vector of its own, and there may be as many labels as photos: one at a time, and half as large.
    centres = {label: similarity.unit_length(sums.pop(label)[None])[0].astype(np.float32) for label in [*sums]}
    parts = [schema_of(dataset, columns, plan.schema).empty_table().append_column(DISTANCE, pa.array([], pa.float64()))]
    for batch, labels, unit in batches(wanted):
        cosines = np.einsum("ij,ij->i", unit, np.stack([centres[label] for label in labels]), dtype=np.float64)
        part = pa.Table.from_batches([batch]).select(parts[0].column_names[:-1])
        parts.append(part.append_column(DISTANCE, pa.array(1 - cosines)))
    return pa.concat_tables(parts)
