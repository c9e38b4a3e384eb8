"""Which quarantined objects a re-drive takes again. Asked of the catalog, before anything is planned."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import names, outputs, publications, read
from imagefeatures.catalog import standing, tables
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError
from imagefeatures.plan import plan_run
from imagefeatures.preprocessing import hugging_face
from imagefeatures.redrive.relisting import holder_of, outer_of
from imagefeatures.redrive.selection import PublishedFile, Selection, published_rows
from imagefeatures.run_params import RedriveParams, RunParams, day_named
from imagefeatures.settings import Settings, program

WHOLE_AND_ANY = RunParams(sample=1, max_rejected=1)
"""What is taken again was in the sample of the run that quarantined it, and is known to be bad: no budget ends it."""


def partitions(dataset: Dataset, params: RedriveParams, settings: Settings) -> list[str]:
    """The published partitions that may have a matching object, oldest first.

    Raises ParamsError when the partition that is asked for is not published.
    """
    wanted = params.partition and day_named(params.partition, dt.datetime.now(dt.UTC))
    published = {row["partition_key"]: row for row in read.runs(settings, dataset.name)}
    if wanted and wanted not in published:
        raise ParamsError(f"partition: {wanted} of {dataset.name} is not published; run it: {_whole(dataset, wanted)}")

    def matching(row: dict[str, Any]) -> int:
        count: int = dict(row["reasons"]).get(params.reason, 0) if params.reason else row["quarantined"]
        return count

    return [partition for partition in sorted([wanted] if wanted else published) if matching(published[partition])]


def plan_redrive(dataset: Dataset, params: RedriveParams, partition: str, settings: Settings) -> str | None:
    """Plan the re-drive of one of `partitions`. Returns the URI of its run.json; None when no object matches.

    Raises as `choose` and `imagefeatures.plan.plan_run` do.
    """
    selection = choose(dataset, params, partition, settings)
    if selection is None:
        return None
    return plan_run(dataset, WHOLE_AND_ANY.model_copy(update={"partition": partition}), None, settings, selection)


def choose(dataset: Dataset, params: RedriveParams, partition: str, settings: Settings) -> Selection | None:
    """What a re-drive of a published partition takes again; None when no object matches.

    Raises ParamsError when the partition has vectors of another fingerprint than a run would compute now: nothing can
    be merged into it. CatalogError as `standing.standing`.
    """
    with tables.open_catalog(settings) as catalog:
        publications.finish_interrupted(catalog, settings)
        held = standing.standing(catalog, settings, dataset.name, partition)
    if held is None:
        return None
    matching = _matching(held.quarantine, params)
    chosen, kept = held.quarantine.filter(matching), held.quarantine.filter(pc.invert(matching))
    if not chosen.num_rows:
        return None
    published = {names.tables_of_run(held.row)[0]: held.row["fingerprint"]}
    published |= {names.model_table(dataset.name, model): one for model, one in dict(held.row["models"] or ()).items()}
    if held.row["pixels"]:
        published[names.pixels_table(dataset.name)] = held.row["pixels"]
    dataset = hugging_face.settled(dataset)
    settled = outputs.settle(dataset, settings.lake, settings.cache)
    for output in settled:
        if output.table not in published:
            what = f"vectors of {output.model.name}" if output.model else "pixels"
            raise ParamsError(
                f"partition: {partition} of {dataset.name} has no {what}, which a run computes now; run the whole "
                f"partition: {_whole(dataset, partition)}"
            )
        if (one := published[output.table]) != output.fingerprint:
            what = "vectors" if output.model else "pixels"
            raise ParamsError(
                f"partition: {partition} of {dataset.name} has {what} of another fingerprint, {one}, "
                f"than a run computes now, {output.fingerprint}; run the whole partition: {_whole(dataset, partition)}"
            )
    copies = max(output.copy_number for output in settled)
    if copies != (held.row["copies"] or 0):
        raise ParamsError(
            f"partition: {partition} of {dataset.name} has {held.row['copies'] or 0} copies of each image, and a run "
            f"makes {copies} now; run the whole partition: {_whole(dataset, partition)}"
        )
    by_table = {output.table: [PublishedFile(*file) for file in held.files[output.table]] for output in settled}
    files = by_table.pop(settled[0].table)
    inside = list(_inside(dataset, chosen, kept, files))
    return Selection(held.row["run_id"], files, chosen, kept, inside, dataset.sample, by_table)


def _matching(quarantine: pa.Table, params: RedriveParams) -> pa.Array:
    """Whether each row fits the parameters."""
    fits = pa.repeat(True, quarantine.num_rows)
    if params.reason:
        fits = pc.and_(fits, pc.equal(quarantine["reason"], params.reason))
    if params.since:
        midnight = dt.datetime.combine(params.since, dt.time(), dt.UTC)
        fits = pc.and_(fits, pc.greater_equal(quarantine["quarantined_at"], pa.scalar(midnight)))
    if params.uris is not None:
        fits = pc.and_(fits, pc.is_in(quarantine["uri"], value_set=pa.array(params.uris, pa.string())))
    return fits


def _inside(dataset: Dataset, chosen: pa.Table, kept: pa.Table, files: Collection[PublishedFile]) -> Iterator[str]:
    """What is published and lies inside one of the chosen folders or archives."""
    outer = outer_of(dataset.source, chosen["uri"].to_pylist())
    if not outer:
        return
    for uri in kept["uri"].to_pylist():
        if holder_of(uri, outer):
            yield uri
    for file in files:
        for rows in published_rows(file, ("uri",)):
            for uri in rows["uri"].to_pylist():
                if holder_of(uri, outer):
                    yield uri


def _whole(dataset: Dataset, partition: str) -> str:
    return f"{program()} run {dataset.name} {partition}"
