"""Reading the tables of the namespace `learning`.

    from imagefeatures.learning import tables
    from imagefeatures.settings import Settings

    rows = tables.predictions(Settings.from_env(), "fruit")  # uri, label, predicted, probability, …

It makes nothing and changes nothing.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from imagefeatures import names
from imagefeatures.learning.columns import EVALUATIONS, PREDICTIONS
from imagefeatures.learning.places import ClassifierLayout
from imagefeatures.settings import Settings


def evaluations(settings: Settings, dataset: str | None = None) -> list[dict[str, Any]]:
    """The rows of learning.evaluations, of all datasets or of one, newest first. Raises CatalogError or StoreError.

    `folder` and `picture` are where they are in this lake: the table has where they were when the row was written.
    """
    from imagefeatures.catalog import learning  # pyiceberg takes a second

    where = {} if dataset is None else {"dataset": dataset}
    rows = learning.read(settings, names.EVALUATIONS, EVALUATIONS, where)
    dicts: list[dict[str, Any]] = rows.sort_by([("planned_at", "descending")]).to_pylist(maps_as_pydicts="strict")
    for row in dicts:
        layout = ClassifierLayout(settings.lake, row["dataset"], row["model_id"])
        row |= {"folder": layout.folder, "picture": layout.picture}
    return dicts


def predictions(settings: Settings, dataset: str) -> pa.Table:
    """The rows of learning.<dataset>_predictions, in memory; none before the first classifier. Raises as above."""
    from imagefeatures.catalog import learning

    return learning.read(settings, names.predictions(dataset), PREDICTIONS, {})
