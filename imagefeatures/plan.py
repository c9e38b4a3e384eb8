"""plan: settles every fact of a run once, in one file that all other steps read.

The file holds no secrets: each process takes the catalog and the credentials from its own environment.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import platform
import secrets
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imagefeatures import names, outputs, preview, sealed, storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ImageFeaturesError, ParamsError, StoreRefused
from imagefeatures.layout import Layout
from imagefeatures.models.spec import ModelSpec
from imagefeatures.outputs import Output
from imagefeatures.preprocessing import Preprocessing, hugging_face
from imagefeatures.reasons import printable
from imagefeatures.run_params import RunParams, day_named
from imagefeatures.settings import Settings, lake_from_env
from imagefeatures.sources import AnySource
from imagefeatures.steps import PLAN
from imagefeatures.strict import unusable_texts
from imagefeatures.usage import drivers
from imagefeatures.usage.meter import Meter
from imagefeatures.wording import one_line

if TYPE_CHECKING:
    from imagefeatures.redrive.selection import Selection

SOFTWARE = (
    "imagefeatures", "apache-airflow", "pyspark", "pillow", "numpy", "openvino", "tensorflow-cpu", "tensorflow",
    "keras", "pyarrow", "pyiceberg",
)  # fmt: skip

RUN_ID_TIME = "%Y%m%dT%H%M%S"
"""How the time of a run's plan begins its run_id."""

log = logging.getLogger(__name__)


class Run(BaseModel):
    """run.json: what a run does, by which rules, and where. It does not change during the run.

    model, preprocessing, fingerprint: of the first output; no model where it has pixels. others: the outputs after it.
    redrive: of a re-drive, the published run whose quarantined objects it takes again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str = Field(pattern=names.RUN_ID)
    partition: str = Field(pattern=names.PARTITION)
    dataset: Dataset
    source: AnySource
    model: ModelSpec | None = None
    preprocessing: Preprocessing
    lake: str
    fingerprint: str
    others: tuple[Output, ...] = ()
    shard_images: int
    shard_bytes: int
    replace_newer: bool = False
    redrive: str | None = Field(None, pattern=names.RUN_ID)
    started_at: dt.datetime
    versions: dict[str, str]

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The tables that the run fills, besides quarantine and runs. The first is the dataset's own."""
        first = Output(
            table=self.tables[0],
            model=self.model,
            preprocessing=self.preprocessing,
            fingerprint=self.fingerprint,
        )
        return (first, *self.others)

    @property
    def kept(self) -> Output | None:
        """The output of pixels; None where none stay."""
        return next((output for output in self.outputs if output.kind), None)

    @property
    def tables(self) -> list[str]:
        """The names of these tables."""
        first = self.dataset.name if self.model else names.pixels_table(self.dataset.name)
        return list(dict.fromkeys([first, *(output.table for output in self.others)]))

    @property
    def models(self) -> tuple[Output, ...]:
        """The outputs that have a model, one of each model: copies of a picture are computed by the same."""
        return tuple(output for output in self.outputs if output.model and not output.copy_number)

    @property
    def layout(self) -> Layout:
        return Layout(self.lake, self.dataset.name, self.partition, self.run_id)


def plan_run(
    dataset: Dataset,
    params: RunParams,
    partition_key: str | None,
    settings: Settings,
    selection: Selection | None = None,
) -> str:
    """Settle a run and write its run.json. Returns the file's URI: the only argument of every job.

    partition_key: the key that Airflow gave the run, None for a manual trigger. selection: what a re-drive takes again;
    None for a run of the whole partition.
    Raises ParamsError; StoreRefused or StoreError when the source cannot be listed or the lake cannot be written;
    SettingsError, CatalogRefused or CatalogError when the catalog cannot be opened, read or written; NoInput when the
    source has no object for the run; ModelMismatch when a model of the dataset's own cannot be used; DatasetError when
    a table is another dataset's, or has vectors of another width; ServingRefused or ServingError when a model server
    cannot be asked. It looks at all of them so that these errors come in one line, before a JVM is started.
    """
    # Not at module level: Spark's workers import this module too, and they need no pyiceberg.
    from imagefeatures.catalog import lost, owners, readiness
    from imagefeatures.catalog.known_files import files_with
    from imagefeatures.catalog.tables import open_catalog
    from imagefeatures.catalog.widths import refuse_another
    from imagefeatures.publications import also_published, finish_interrupted
    from imagefeatures.redrive.selection import write

    meter = Meter()
    partition = settle_partition(params, partition_key, dataset)
    effective = params.applied_to(dataset)
    effective = hugging_face.settled(effective.model_copy(update={"source": effective.source.pinned()}))
    source = effective.source_for(partition)
    source.check_apart(settings.lake)
    with _no_store_is_refused():
        source.check()
    first, *others = outputs.settle(effective, settings.lake, settings.cache)
    now = dt.datetime.now(dt.UTC)
    run = Run(
        run_id=new_run_id(now),
        partition=partition,
        dataset=effective,
        source=source,
        model=first.model,
        preprocessing=first.preprocessing,
        lake=settings.lake,
        fingerprint=first.fingerprint,
        others=tuple(others),
        shard_images=outputs.shard_images((first, *others), params.shard_images),
        shard_bytes=params.shard_bytes,
        replace_newer=params.replace_newer,
        redrive=selection.replaces if selection else None,
        started_at=now,
        versions=_versions(),
    )
    with _no_store_is_refused():
        if selection:  # before run.json: whoever finds that file can go on with the run
            write(run.layout, selection)
        storage.write(run.layout.run_file, run.model_dump_json(indent=1).encode())
    try:
        with open_catalog(settings) as catalog:
            readiness.check(catalog, settings, effective.tables)
            lost.refuse(catalog)
            finish_interrupted(catalog, settings)
            owners.refuse_taken(catalog, effective.name, run.tables)
            known: list[tuple[str, int, str, int]] = []
            for output in run.outputs:
                refuse_another(catalog, output, partition)
                if effective.reuse:
                    number = output.copy_number
                    for one in output.known_fingerprints:
                        files = files_with(catalog, output.table, one, number)
                        known += ((*file, output.table, number) for file in files)
            if warning := also_published(effective, partition, catalog):
                log.warning(warning)
        if effective.on_empty == "fail":
            preview.require_objects(effective, source, partition)
        storage.write(run.layout.known_files, sealed.encode({"files": known}))  # the jobs need no catalog
    except ImageFeaturesError:
        storage.delete_folder(run.layout.run)
        raise
    drivers.keep(run.layout, PLAN, meter.usage())
    return run.layout.run_file


def load_run(uri: str, lake: str | None = None) -> Run:
    """Read the run.json of a run in a lake. lake: by default the one that the environment names.

    The file is believed only where its own facts say that it lies, and only if all of them agree: its URI comes from
    a task's result, which some users of Airflow may edit. Raises ParamsError when it lies elsewhere, is missing (its
    run is registered already, or was never planned), is of another version, contradicts itself, or has a fingerprint
    that this version does not compute. SettingsError when no lake is set.
    """
    layout = Layout.of_run_file(uri, lake_from_env() if lake is None else lake)
    try:
        run = Run.model_validate_json(storage.read(uri))
    except storage.ObjectMissing:
        raise ParamsError(f"--run: there is no {uri}; start a new run of this partition") from None
    except ValidationError as error:
        raise ParamsError(f"--run: {uri} is not a run.json of this version: {one_line(error)}") from None
    for field in _contradictions(run, layout):
        raise ParamsError(f"--run: {uri} is not as plan wrote it: {field}; start a new run of this partition")
    if not outputs.are_current(run.outputs, run.dataset):  # other vectors
        raise ParamsError(f"--run: {uri} is of another fingerprint than this version computes; start a new run")
    return run


def _contradictions(run: Run, layout: Layout) -> Iterator[str]:
    """What a run.json says that plan cannot have written into the file of this layout: `field: what is wrong`."""
    facts = {"dataset.name": run.dataset.name, "partition": run.partition, "run_id": run.run_id, "lake": run.lake}
    places = (layout.dataset, layout.partition, layout.run_id, layout.lake)
    for (field, said), place in zip(facts.items(), places, strict=True):
        if said != place:
            yield f"{field}: {printable(said)!r}, but it lies where {printable(place)!r} is"
    for field in unusable_texts(run.model_dump(mode="json")):
        yield f"{printable(field)}: holds a character that no name has"
    if run.source != run.dataset.source_for(run.partition):
        yield f"source: {printable(run.source)!r} is not the dataset's source for this partition"
    yield from outputs.contradictions(run.outputs, run.dataset)
    if run.started_at.tzinfo is None or f"{run.started_at.astimezone(dt.UTC):{RUN_ID_TIME}}" != run.run_id[:15]:
        yield f"started_at: {run.started_at} is not the time in run_id"
    try:
        RunParams(shard_images=run.shard_images, shard_bytes=run.shard_bytes)
    except ValidationError as error:
        yield one_line(error)


def settle_partition(params: RunParams, partition_key: str | None, dataset: Dataset) -> str:
    """The one partition that a run fills. Raises ParamsError when none is given, or two different ones.

    Of a dataset whose source is the same for every partition it is names.WHOLE_SOURCE where none is given: another
    such run then replaces its rows.

    >>> settle_partition(RunParams(), None, Dataset(name="fruit", source="s3://photos/fruit/"))
    'all'
    """
    given = RunParams.parse({"partition": partition_key}).partition
    if params.partition and given and params.partition != given:
        raise ParamsError(
            f"partition: the parameters say {params.partition}, but this run's own partition key is {given}; "
            "leave the parameter empty in backfills and scheduled runs"
        )
    if partition := params.partition or given:
        return day_named(partition, dt.datetime.now(dt.UTC))
    if dataset.source.by_partition:
        raise ParamsError("partition: a manual run needs one, such as 2026-11-02")
    return names.WHOLE_SOURCE


def new_run_id(now: dt.datetime) -> str:
    """A fresh id of a run that is planned at this moment, in UTC."""
    # Microseconds come first: of two runs planned in one second, too, the greater run_id is that of the later one.
    return f"{now:{RUN_ID_TIME}}-{now.microsecond:05x}{secrets.randbelow(16**3):03x}"


@contextlib.contextmanager
def _no_store_is_refused() -> Iterator[None]:
    # A web server that is not a store answers 404 without S3's code for a missing bucket, so a listing is "not found".
    try:
        yield
    except storage.ObjectMissing as missing:
        raise StoreRefused(f"{missing}: no such bucket, or no S3 store answers there (see AWS_ENDPOINT_URL)") from None


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in SOFTWARE:
        with contextlib.suppress(PackageNotFoundError):  # tensorflow has two package names
            versions[package] = version(package)
    return versions
