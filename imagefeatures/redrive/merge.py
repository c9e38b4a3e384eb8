"""What a re-drive publishes: its own rows, and those of the partition that it has not taken again.

The partition's features are copied under the new run, vector by vector as they are: so a partition is one run's, as
every other one is, and whatever reads, undoes, repairs or reuses it needs to know nothing of re-drives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import copies, manifest, names, precedence, publications, schemas
from imagefeatures.catalog import pixel_tables, standing, tables
from imagefeatures.columns import rows_of_run
from imagefeatures.errors import AuditFailed
from imagefeatures.outputs import Output
from imagefeatures.plan import Run
from imagefeatures.publications import Publication
from imagefeatures.redrive.selection import Selection, published_rows, selected
from imagefeatures.settings import Settings
from imagefeatures.staged import StagedFile

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog


def refuse_other(run: Run, replaces: str, settings: Settings) -> None:
    """Raise OlderRun, as register would, where the partition holds another run by now. Asked before any work is done.

    replaces: the run that the re-drive replaces. Its staging folder is removed then, and what it had begun to publish.
    """
    with (
        tables.open_catalog(settings) as catalog,
        publications.taken_back(run.layout, run.tables, catalog, settings, replaces),
    ):
        standing = tables.published(catalog, settings, run.dataset.name, run.partition)
        precedence.refuse_other(run.layout, replaces, standing)


def merged(run: Run, own: Publication, replaced: dict[str, Any], catalog: Catalog) -> Publication:
    """The publication of a re-drive. own: of its own rows. replaced: the row of features.runs that it replaces.

    Writes the copied features, file by file. Raises AuditFailed where the numbers do not add up, StoreRefused where the
    lake has no room.
    """
    selection = selected(run.layout, run.redrive)
    listing = manifest.read_listing(run)
    taken = pa.concat_arrays(
        [
            pa.array([], pa.string()),
            *(manifest.read_manifest(run, n, listing)["uri"].combine_chunks() for n in range(listing.shards)),
        ]
    )
    quarantined = selection.chosen.num_rows + selection.kept.num_rows
    copied, registered = {}, replaced["registered"]
    for output in run.outputs:
        if output.copy_number:  # its rows are in the table of the pictures as they are, and copied with them
            continue
        files = _copied(run, output, selection, taken, catalog)
        rows, expected = sum(file.rows for file in files), rows_of_run(replaced)
        if (rows, quarantined) != (expected, replaced["quarantined"]):
            raise AuditFailed(
                f"run {run.redrive} published {expected} and quarantined {replaced['quarantined']}; of "
                f"them {rows} and {quarantined} are in {names.table_name(output.table)} and the quarantine: run "
                "the whole partition again"
            )
        copied[output.table] = [*own.files[output.table], *(file.uri for file in files)]
    kept = copies.of_run(selection.kept, run.run_id)
    _refuse_taken(kept["uri"], taken, run.layout.redrive)
    quarantine = pa.concat_tables([own.quarantine, kept])
    (row,) = own.runs.to_pylist()
    row |= {
        "listed": registered + kept.num_rows + row["listed"],
        "registered": registered + row["registered"],
        "reused": registered + row["reused"],
        "models_reused": [(model, registered + count) for model, count in row["models_reused"]],
        "quarantined": quarantine.num_rows,
        "reasons": sorted(Counter(quarantine["reason"].to_pylist()).items()),
        "passed_over": replaced["passed_over"],
        "redriven": row["listed"],
        "base_started_at": precedence.base_started_at(replaced),
    }
    return replace(
        own,
        files=copied,
        quarantine=quarantine,
        runs=pa.Table.from_pylist([row], schema=schemas.RUNS),
        replaces=selection.replaces,
    )


def _copied(run: Run, output: Output, selection: Selection, taken: pa.Array, catalog: Catalog) -> list[StagedFile]:
    """Copy the partition's features in an output's table under this run.

    taken: the URIs that the run took again: none may be published.
    """
    # Their numbers come after those of the run's own shards: every name tells which run it is of, and is a new one.
    first = manifest.read_listing(run).shards
    rows = _checked(run, output, selection, taken, catalog)
    return copies.write(run.layout, output.table, output.kind, rows, first)


def _checked(
    run: Run, output: Output, selection: Selection, taken: pa.Array, catalog: Catalog
) -> Iterator[pa.RecordBatch]:
    """The partition's features in an output's table. Raises AuditFailed for a row that is not of the published run."""
    constants = {"partition_key": run.partition, "fingerprint": output.fingerprint, "run_id": selection.replaces}
    for place, batch in _published(run, output, selection, catalog):
        for column, value in constants.items():
            if (values := batch[column].unique().to_pylist()) != [value]:
                raise AuditFailed(f"{place}: {column} holds {values}, the published run's is {value}")
        _refuse_taken(batch["uri"], taken, place)
        yield batch


def _published(
    run: Run, output: Output, selection: Selection, catalog: Catalog
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of the partition in an output's table with all its columns, and for errors where each batch is."""
    identifier, own = (names.NAMESPACE, output.table), schemas.of_table(output.table, output.kind)
    if catalog.table_exists(identifier):
        table = catalog.load_table(identifier)
        whole = pixel_tables.whole_schema(table)
        if whole.names != own.names:  # somebody has added some, whose names in the files may be others
            for batch in standing.rows(table, run.partition, whole):
                yield names.table_name(output.table), batch
            return
    for file in selection.files if output.table == run.tables[0] else selection.others.get(output.table, ()):
        for batch in published_rows(file, own.names, own):
            yield file.uri, batch


def _refuse_taken(uris: pa.Array, taken: pa.Array, place: str) -> None:
    if pc.any(pc.is_in(uris, value_set=taken)).as_py():
        raise AuditFailed(f"{place}: an object that was taken again is published as it is; start a new re-drive")
