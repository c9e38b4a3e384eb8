"""register: checks that every listed object is accounted for, then publishes the run by swapping its partition."""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from imagefeatures import budget, cost, manifest, names, publications, schemas, shards, storage
from imagefeatures.catalog import retention, tables, widths
from imagefeatures.errors import AuditFailed
from imagefeatures.layout import Layout, staging, warehouse
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.outputs import Output
from imagefeatures.plan import Run, load_run
from imagefeatures.publications import Publication
from imagefeatures.reasons import printable, without_secrets
from imagefeatures.redrive import merge
from imagefeatures.repeats import HashedTexts
from imagefeatures.settings import Settings
from imagefeatures.shards import Receipt, StagedFile, Totals
from imagefeatures.sources.passed_over import in_words
from imagefeatures.steps import FEATURIZE, RESIZE, SPARK_STEPS
from imagefeatures.usage import drivers
from imagefeatures.usage.meter import Meter

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

JOINED_TABLES = 64
"""So many shards' rejected rows are made one table: a table of five rows takes 10 kB."""

SUMMARY = ("partition_key", "dataset", "run_id", "listed", "registered", "reused", "quarantined", "redriven")

REGISTERED, ALREADY, EMPTY = "registered", "already registered", "nothing to register"

log = logging.getLogger(__name__)


@dataclass
class Audit:
    """The totals of a run, and its files and rejected rows, after all of its numbers were found to agree.

    files: by the table of each output. reused: of the first output; models_reused: of each other, by its model.
    """

    listed: int = 0
    passed_over: Mapping[str, int] = field(default_factory=dict)
    registered: int = 0
    reused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    files: dict[str, list[str]] = field(default_factory=dict)
    models_reused: Counter[str] = field(default_factory=Counter)
    rejected: list[pa.Table] = field(default_factory=list)
    steps: dict[str, Totals] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """The result of register: one of REGISTERED, ALREADY and EMPTY; unless EMPTY, the run's row of features.runs.

    why: of EMPTY, what was passed over. warning: what is right by the rules and hardly wanted: see
    publications.also_published.
    """

    state: str
    row: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    warning: str | None = None

    @property
    def summary(self) -> dict[str, Any]:
        """The numbers of the run, in types that JSON has."""
        derived = {"computed": self.computed, "reasons": dict(self.row["reasons"]), "passed_over": self.passed_over}
        if self.models:
            derived["models"] = self.models
        return {name: self.row[name] for name in (*SUMMARY, "fingerprint")} | derived

    @property
    def computed(self) -> int | None:
        """How many registered vectors the run has computed; None for a run of a version that did not count them."""
        return None if self.row["reused"] is None else self.row["registered"] - self.row["reused"]

    @property
    def passed_over(self) -> dict[str, int]:
        """How many objects were not listed, by what passed them over; empty where the run's version did not count."""
        return dict(self.row["passed_over"] or ())

    @property
    def models(self) -> dict[str, dict[str, Any]]:
        """The further models: fingerprint of each, and how many of its vectors were reused and computed."""
        reused = dict(self.row.get("models_reused") or ())
        return {
            model: {"fingerprint": one, "reused": reused[model], "computed": self.row["registered"] - reused[model]}
            for model, one in dict(self.row.get("models") or ()).items()
        }

    def __str__(self) -> str:
        row = self.row
        if not row:
            return f"{self.state}: {self.why}"
        seconds = (row["finished_at"] - row["started_at"]).total_seconds()
        reasons = ", ".join(f"{reason} {count}" for reason, count in row["reasons"]) or "none"
        made = "" if self.computed is None else f" ({row['reused']} reused, {self.computed} computed"
        for model, counts in self.models.items():
            made += f"; {model}: {counts['reused']} reused, {counts['computed']} computed"
        made += made and ")"
        passed = f"; {in_words(self.passed_over)}" if self.passed_over else ""
        passed += f"; {row['redriven']} of them taken again" if row["redriven"] else ""
        busy = ", ".join(f"{step} {row[f'{step}_seconds']:.1f}" for step in SPARK_STEPS)
        return (
            f"{self.state}: features.{names.tables_of_run(row)[0]} {row['partition_key']}: {row['listed']} listed = "
            f"{row['registered']} registered{made} + {row['quarantined']} quarantined ({reasons}){passed}; "
            f"{seconds:.0f} s since plan, workers busy: {busy}" + (f"; warning: {self.warning}" if self.warning else "")
        )


def register(run_file: str, settings: Settings, *, replace_newer: bool = False) -> Outcome:
    """Audit and publish a run, then remove its staging folder.

    A second call changes nothing, even if the first one's success was not reported, or the staging folder is gone.
    A run that listed nothing leaves the published partition unchanged.
    replace_newer: publish it even where a later run is published, whatever its run.json says.
    A re-drive is merged into what the partition holds. It is refused as OlderRun, and its staging folder removed, where
    that is another run by now.
    Raises AuditFailed, TooManyRejected, OlderRun; ModelMismatch or ServingError where a model server has changed or is
    away; DatasetError where other partitions have vectors of another width (nothing is published then); StoreRefused,
    with nothing changed, where a local lake has no room.
    """
    meter = Meter()
    layout = Layout.of_run_file(run_file, settings.lake)
    catalog = tables.open_catalog(settings)
    publications.finish_interrupted(catalog, settings, but=layout.run_id)
    published = tables.published(catalog, settings, layout.dataset, layout.partition)
    if published and published["run_id"] == layout.run_id:
        publications.finish_interrupted(catalog, settings)  # this run's too, if its register died after its last commit
        storage.delete_folder(layout.run)
        return Outcome(ALREADY, published)
    run = load_run(run_file, settings.lake)
    for output in run.outputs:
        widths.refuse_another(catalog, output, run.partition)
    run = run.model_copy(update={"replace_newer": run.replace_newer or replace_newer})
    listing = manifest.read_listing(run)
    if not listing.objects and not run.redrive:
        storage.delete_folder(layout.run)
        return Outcome(EMPTY, why=in_words(listing.passed_over))
    # An earlier register may have begun to publish it.
    with publications.taken_back(layout, run.tables, catalog, settings, run.redrive):
        if run.redrive:
            publications.refuse_other(layout, run.redrive, published)
        elif not run.replace_newer:
            publications.refuse_older(layout, run.started_at, published)
    audit = audit_run(run)
    budget.refuse_if_spent(run, audit.listed, audit.rejected)
    _refuse_a_changed_server(run, audit)
    row = _runs_row(run, audit, dt.datetime.now(dt.UTC))
    workers = {step: sums.usage for step, sums in audit.steps.items()}
    row |= cost.columns(audit.listed, workers, drivers.read(layout), meter.usage())
    rejected = _quarantine_rows(run, audit, row["finished_at"])
    runs = pa.Table.from_pylist([row], schema=schemas.RUNS)
    pixels = run.kept.kind if run.kept else None
    publication = Publication(run.layout, audit.files, rejected, runs, run.replace_newer, pixels=pixels)
    if run.redrive and published:
        publication = merge.merged(run, publication, published)
        (row,) = publication.runs.to_pylist()
    warning = publications.also_published(run.dataset, run.partition, catalog)
    publications.publish(publication, catalog, settings)
    storage.delete_folder(layout.run)
    for folder in (warehouse(settings.lake), staging(settings.lake)):  # of tasks that were killed during a write
        storage.abort_old_uploads(folder)
    _remove_expired(run, catalog, settings)
    return Outcome(REGISTERED, row, warning=warning)


def _refuse_a_changed_server(run: Run, audit: Audit) -> None:
    """Raises ModelMismatch where a model server no longer has the model of the run, ServingError where it is away."""
    if isinstance(run.dataset.engine, ServedEngine) and audit.registered > audit.reused:
        from imagefeatures.models import engines, prepare  # for such runs alone

        for output in run.outputs:
            if output.model:
                engines.load(run.dataset.engine, prepare.read_bundle(output.model, output.preprocessing, run.lake))


def _remove_expired(run: Run, catalog: Catalog, settings: Settings) -> None:
    """Delete the files of expired snapshots. The run is published: no error of this is an error of the run."""
    for name in (names.QUARANTINE, *run.tables, names.RUNS):
        try:
            retention.remove_expired(tables.open_table(catalog, settings, name), settings.lake)
        except Exception as error:
            log.warning(
                "%s: the files of expired snapshots stay until the next publication (%s)",
                names.table_name(name), type(error).__name__,
            )  # fmt: skip


def audit_run(run: Run) -> Audit:
    """Add up a run, object by object, one shard in memory at a time. Raises AuditFailed with the first disagreement."""
    listing = manifest.read_listing(run)
    receipts = {step: {r.shard: r for r in shards.read_receipts(run.layout, step)} for step in SPARK_STEPS}
    for step, of_shard in receipts.items():
        if missing := set(range(listing.shards)) - set(of_shard):
            raise AuditFailed(f"{step}: no receipt for {len(missing)} of {listing.shards} shards, first {min(missing)}")
    audit = Audit(passed_over=listing.passed_over, files={table: [] for table in run.tables})
    uris, joined = HashedTexts(), 0
    for shard in range(listing.shards):
        listed = manifest.read_manifest(run, shard, listing)["uri"].to_pylist()
        uris.add(listed)
        _audit_shard(run, shard, listed, {step: receipts[step][shard] for step in SPARK_STEPS}, audit)
        if len(audit.rejected) - joined >= JOINED_TABLES:
            audit.rejected[joined:] = [pa.concat_tables(audit.rejected[joined:]).combine_chunks()]
            joined += 1
    if audit.listed != listing.objects:
        raise AuditFailed(f"the manifest holds {audit.listed} objects, {listing.objects} were listed")
    if uri := manifest.repeated_uri(run, listing, uris.repeated()):
        raise AuditFailed(f"{printable(without_secrets(uri))} is in the manifest more than once")
    audit.steps = {step: shards.totals(of_shard.values()) for step, of_shard in receipts.items()}
    return audit


def _audit_shard(run: Run, shard: int, listed: list[str], receipts: dict[str, Receipt], audit: Audit) -> None:
    expected = len(listed)
    rejected: list[pa.Table] = []
    for step, receipt in receipts.items():
        if receipt.rows_in != expected:
            raise AuditFailed(f"{step} shard {shard}: {receipt.rows_in} rows came in, {expected} were handed on")
        if receipt.rejected:
            rejected.append(shards.read_staged(receipt.rejected))
        expected = receipt.passed
        if receipt.rows_in != expected + (rejected[-1].num_rows if receipt.rejected else 0):
            raise AuditFailed(f"{step} shard {shard}: {receipt.rows_in} rows in, {expected} out, the rest not rejected")
    of_outputs = list(zip(run.outputs, receipts[FEATURIZE].outputs, receipts[RESIZE].outputs, strict=True))
    uris = [list(_checked_uris(run, output, features.own)) for output, features, _ in of_outputs]
    if any(of_output != uris[0] for of_output in uris):
        raise AuditFailed(f"shard {shard}: the outputs do not hold the same objects in the same order")
    accounted = [*uris[0], *(uri for table in rejected for uri in table["uri"].to_pylist())]
    if Counter(accounted) != Counter(listed):
        wrong = sorted((Counter(accounted) - Counter(listed)) + (Counter(listed) - Counter(accounted)))
        first = printable(without_secrets(wrong[0]))
        raise AuditFailed(f"shard {shard}: {len(wrong)} objects are not in exactly one table, first {first}")
    audit.listed += len(listed)
    audit.registered += len(uris[0])
    audit.reused += shards.totals([receipts[RESIZE]]).reused
    for output, _, resized in of_outputs[1:]:
        if output.model:
            audit.models_reused[output.model.name] += resized.reused.rows if resized.reused else 0
    audit.rejected += rejected
    for table in rejected:
        audit.reasons.update(table["reason"].to_pylist())
    for output, features, _ in of_outputs:
        if features.own.rows:
            audit.files[output.table].append(features.own.uri)


def _checked_uris(run: Run, output: Output, file: StagedFile) -> Iterator[str]:
    """The URIs in a features file, after a check of all its rows. Raises AuditFailed when one must not be published."""
    schema = schemas.of_table(output.table, output.kind)
    table = shards.read_staged(file)
    if not table.schema.equals(schema):
        raise AuditFailed(f"{file.uri}: columns are not those of features.{output.table}")
    constants = {"partition_key": run.partition, "fingerprint": output.fingerprint, "run_id": run.run_id}
    for column, value in constants.items():
        if table.num_rows and (values := table[column].unique().to_pylist()) != [value]:
            raise AuditFailed(f"{file.uri}: {column} holds {values}, this run's is {value}")
    yield from table["uri"].to_pylist()
    if output.kind:
        return
    vectors = table["features"].combine_chunks()
    if table.num_rows and set(vectors.value_lengths().unique().to_pylist()) != {output.spec.width}:
        raise AuditFailed(f"{file.uri}: MODEL_MISMATCH: not every vector has {output.spec.width} values")
    if not np.isfinite(vectors.flatten().to_numpy()).all():
        raise AuditFailed(f"{file.uri}: a vector holds a value that is not finite")


def _quarantine_rows(run: Run, audit: Audit, finished: dt.datetime) -> pa.Table:
    rejected = pa.concat_tables([schemas.REJECTED.empty_table(), *audit.rejected])
    constants = {
        "partition_key": run.partition,
        "dataset": run.dataset.name,
        "run_id": run.run_id,
        "quarantined_at": pa.scalar(finished, schemas.QUARANTINE.field("quarantined_at").type),
    }
    columns = {name: rejected[name] for name in rejected.column_names}
    columns |= {name: pa.repeat(value, rejected.num_rows) for name, value in constants.items()}
    return pa.table([columns[name] for name in schemas.QUARANTINE.names], schema=schemas.QUARANTINE)


def _runs_row(run: Run, audit: Audit, finished: dt.datetime) -> dict[str, Any]:
    row = {
        "partition_key": run.partition,
        "dataset": run.dataset.name,
        "run_id": run.run_id,
        "listed": audit.listed,
        "registered": audit.registered,
        "reused": audit.reused,
        "quarantined": audit.reasons.total(),
        "reasons": sorted(audit.reasons.items()),
        "passed_over": sorted(audit.passed_over.items()),
        "redriven": 0,
        "fingerprint": run.fingerprint,
        "model": run.model.name if run.model else names.NO_MODEL,
        "started_at": run.started_at,
        "finished_at": finished,
        "base_started_at": run.started_at,
        "versions": sorted(run.versions.items()),
        "models": [(output.model.name, output.fingerprint) for output in run.others if output.model],
        "pixels": run.kept.fingerprint if run.kept else None,
        "models_reused": list(audit.models_reused.items()),
    }
    for step, totals in audit.steps.items():
        row |= {f"{step}_seconds": totals.seconds, f"{step}_images": totals.images, f"{step}_bytes": totals.bytes}
    return row
