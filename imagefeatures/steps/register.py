"""register: checks that every listed object is accounted for, then publishes the run by swapping its partition."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from imagefeatures import budget, cost, manifest, names, precedence, publications, schemas, storage
from imagefeatures.catalog import tables, widths
from imagefeatures.errors import AuditFailed, ParamsError
from imagefeatures.forget import deny, late
from imagefeatures.layout import Layout, staging, table_folder, warehouse
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.plan import Run, load_run
from imagefeatures.publications import Publication
from imagefeatures.redrive import merge
from imagefeatures.run_audit import Audit
from imagefeatures.settings import Settings
from imagefeatures.sources.passed_over import in_words
from imagefeatures.steps import SPARK_STEPS
from imagefeatures.usage import drivers
from imagefeatures.usage.meter import Meter

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

SUMMARY = ("partition_key", "dataset", "run_id", "listed", "registered", "reused", "quarantined", "redriven")

REGISTERED, ALREADY, EMPTY = "registered", "already registered", "nothing to register"


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
    A run that listed nothing leaves the published partition unchanged, unless the dataset's on_empty is "publish".
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
        return _already(layout, published, catalog, settings)
    try:
        return _register(layout, published, catalog, settings, replace_newer, meter)
    except (AuditFailed, ParamsError):
        # The next run of any dataset may have finished meanwhile what an earlier register had begun, and so have
        # removed what this one reads.
        published = tables.published(catalog, settings, layout.dataset, layout.partition)
        if published and published["run_id"] == layout.run_id:
            return _already(layout, published, catalog, settings)
        raise


def _already(layout: Layout, published: dict[str, Any], catalog: Catalog, settings: Settings) -> Outcome:
    """The outcome of a run that is published. published: its row of features.runs."""
    publications.finish_interrupted(catalog, settings)  # this run's too, if its register died after its last commit
    storage.delete_folder(layout.run)
    return Outcome(ALREADY, published)


def _register(
    layout: Layout,
    published: dict[str, Any] | None,
    catalog: Catalog,
    settings: Settings,
    replace_newer: bool,
    meter: Meter,
) -> Outcome:
    """Register a run that is not published. published: the row of features.runs of the one that is."""
    run = load_run(layout.run_file, settings.lake)
    for output in run.outputs:
        widths.refuse_another(catalog, output, run.partition)
    run = run.model_copy(update={"replace_newer": run.replace_newer or replace_newer})
    listing = manifest.read_listing(run)
    if not listing.objects and not run.redrive and run.dataset.on_empty != "publish":
        storage.delete_folder(layout.run)
        return Outcome(EMPTY, why=in_words(listing.passed_over))
    # An earlier register may have begun to publish it.
    with publications.taken_back(layout, run.tables, catalog, settings, run.redrive):
        if run.redrive:
            precedence.refuse_other(layout, run.redrive, published)
        elif not run.replace_newer:
            precedence.refuse_older(layout, run.started_at, published)
            precedence.refuse_withdrawn(layout, run.started_at, catalog)
    forgotten = deny.state(run.lake)  # first: the audit looks at what is forgotten by then
    audit = late.audited(run)
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
        publication = merge.merged(run, publication, published, catalog)
        (row,) = publication.runs.to_pylist()
    warning = publications.also_published(run.dataset, run.partition, catalog)
    publications.publish(publication, catalog, settings, forgotten)
    storage.delete_folder(layout.run)
    for folder in _written_to(run):
        storage.abort_old_uploads(folder)
    tables.remove_expired(catalog, settings, (names.QUARANTINE, *run.tables, names.RUNS))
    return Outcome(REGISTERED, row, warning=warning)


def _refuse_a_changed_server(run: Run, audit: Audit) -> None:
    """Raises ModelMismatch where a model server no longer has the model of the run, ServingError where it is away."""
    if isinstance(run.dataset.engine, ServedEngine) and audit.registered > audit.reused:
        from imagefeatures.models import engines, prepare  # for such runs alone

        for output in run.models:
            engines.load(run.dataset.engine, prepare.read_bundle(output.spec, output.preprocessing, run.lake))


def _written_to(run: Run) -> list[str]:
    """Where unfinished writes of killed tasks are looked for.

    An object store lists them for the whole lake at once. In a folder every partition has one of its own, so there only
    those of this run are looked at; `upkeep` looks at all.
    """
    if not run.lake.startswith("file://"):
        return [warehouse(run.lake), staging(run.lake)]
    written = (names.QUARANTINE, *run.tables, names.RUNS)
    metadata = [f"{table_folder(run.lake, name)}/metadata" for name in written]
    return [*metadata, *(run.layout.of_table(name).rpartition("/")[0] for name in run.tables), staging(run.lake)]


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
        "models": [(output.spec.name, output.fingerprint) for output in run.models[1:]],
        "pixels": run.kept.fingerprint if run.kept else None,
        "models_reused": list(audit.models_reused.items()),
        "copies": max(output.copy_number for output in run.outputs),
        "slowest": audit.slowest,
    }
    for step, totals in audit.steps.items():
        row |= {f"{step}_seconds": totals.seconds, f"{step}_images": totals.images, f"{step}_bytes": totals.bytes}
    return row
