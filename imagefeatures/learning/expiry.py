"""Which classifiers of a dataset are kept: the last ones and the one that predicts.

A daily run makes a classifier a day, of some MB each. The rows of learning.evaluations stay.
"""

from __future__ import annotations

from imagefeatures import storage
from imagefeatures.errors import ParamsError
from imagefeatures.learning import promotion, tables
from imagefeatures.learning.job import Job, load_job
from imagefeatures.learning.places import ClassifierLayout
from imagefeatures.settings import Settings

KEPT = 30
"""So many published classifiers of a dataset are kept: those of a month of daily runs."""


def remove_old(job: Job, settings: Settings) -> list[str]:
    """Delete the folders of earlier classifiers. Returns their ids, sorted.

    job: one that is published; its folder stays. Kept are the last KEPT that are published, the promoted one, and what
    was planned after the oldest of them, for it may be at work. Raises errors of the catalog and of the store.
    """
    rows = tables.evaluations(settings, job.dataset)  # the newest first
    if len(rows) <= KEPT:
        return []
    oldest = rows[KEPT - 1]["planned_at"]
    published = {row["model_id"] for row in rows}
    promoted = promotion.current(job.layout)
    spared = {row["model_id"] for row in rows[:KEPT]} | {job.model_id, promoted.model_id if promoted else ""}
    removed = []
    for model_id in sorted(_folders(job.layout) - spared):
        layout = ClassifierLayout(job.lake, job.dataset, model_id)
        try:
            if load_job(layout.job, job.lake, job.dataset).planned_at >= oldest:  # it may be one that is made once more
                continue
        except ParamsError:
            if model_id not in published:  # a folder that is none of ours
                continue
        storage.delete_folder(layout.folder)
        removed.append(model_id)
    return removed


def _folders(layout: ClassifierLayout) -> set[str]:
    """The names of the folders beside a classifier's, its own among them."""
    place = layout.folder.removesuffix(layout.model_id)
    paths = (stored.uri.removeprefix(place).split("/") for stored in storage.list_objects(place))
    return {path[0] for path in paths if len(path) > 1}
