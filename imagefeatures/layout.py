"""The URIs of all files in the lake. No other module puts these names together.

<lake>/staging/<dataset>/<partition>/<run>/run.json
                                          /known.json                                    files with vectors to reuse
                                          /redrive.json                                  what a re-drive takes again
                                          /stopped.json                                  why a step has stopped
                                          /usage/<step>-<random>.json                    what its driver has used
                                          /ingest/listing/shard-00012-<digest>.parquet   the objects of a shard
                                          /ingest/listing.json                           names those files, written last
                                          /ingest/versions-00012-<digest>.parquet        URLs that may be unchanged
                                          /resize/moves-00012-<digest>.parquet           rows that change their shard
                                          /<step>/shard-00012-<random>.parquet           the step's output
                                          /<step>/shard-00012-<random>-rejected.parquet  the rejected rows, with reasons
                                          /<step>/shard-00012-<random>-reused.parquet    rows with vectors of the table
                                          /<step>/shard-00012.json                       the receipt, written last
<lake>/warehouse/features/<table>/data/partition_key=<partition>/<run>-shard-00012-<random>.parquet
<lake>/publishing/<run>/publication.json    what register puts into the tables, while it does
<lake>/known/<table>.json, images/, urls/    which files of a table plan and the searches of reuse need not open
<lake>/models/<fingerprint>/
<lake>/models/described/<digest>.json        what was found in a user's model file
<lake>/models/served/<digest>-<n>.npy        vectors of the golden pictures, as a model server first gave them
<lake>/models/<name>/weights.json           the digest of the weights that were first used for the model
<lake>/folders/<dataset>                     the source of a dataset without a dataset file
<lake>/forgotten/key.json                    the key of the next ones
<lake>/forgotten/list/<request>-<digest>.json    keyed hashes of images and URIs that ingest rejects
<lake>/forgotten/pending/<request>.json      what `imagefeatures forget` is at; gone once it is done
<lake>/learning/<dataset>/                   classifiers: imagefeatures/learning/places.py
<lake>/maps/<dataset>/                       feature maps: imagefeatures/maps/stored.py
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from imagefeatures import names
from imagefeatures.errors import ParamsError
from imagefeatures.reasons import printable
from imagefeatures.steps import FEATURIZE, INGEST, RESIZE, VALIDATE

LISTING = f"{INGEST}/listing"
"""The manifest's folder inside a run's folder: one file of listed objects for each shard."""


@dataclass(frozen=True)
class Layout:
    """The URIs of one run's files and folders.

    >>> Layout("s3://b/lake", "fruit", "2026-11-02", "r1").receipt("resize", 12)
    's3://b/lake/staging/fruit/2026-11-02/r1/resize/shard-00012.json'
    """

    lake: str
    dataset: str
    partition: str
    run_id: str

    @classmethod
    def of_run_file(cls, uri: str, lake: str, dataset: str | None = None) -> Layout:
        """The layout of the run whose run.json has this URI, even if the file is gone.

        dataset: whose run it must be; None for any. Raises ParamsError for any other URI, without a look at what lies
        there: whoever may edit a task's results in Airflow chooses it.

        >>> uri = "s3://b/lake/staging/fruit/2026-11-02/20261103T000000-0a1b2c3d/run.json"
        >>> Layout.of_run_file(uri, "s3://b/lake").run_id
        '20261103T000000-0a1b2c3d'
        """
        match = re.fullmatch(re.escape(lake) + r"/staging/([^/]+)/([^/]+)/([^/]+)/run\.json", str(uri))
        if not match:
            raise ParamsError(f"--run: {printable(uri)} is not the run.json of a run in {lake}")
        patterns = {"dataset": names.DATASET_NAME, "partition": names.PARTITION, "run_id": names.PARTITION}
        for (field, pattern), found in zip(patterns.items(), match.groups(), strict=True):
            if not re.fullmatch(pattern, found):
                raise ParamsError(f"--run: {printable(uri)}: {field}: {printable(found)!r} is none; start a new run")
        layout = cls(lake, *match.groups())
        if dataset not in (None, layout.dataset):
            raise ParamsError(f"--run: {uri} is a run of {layout.dataset}, not of {dataset}; start a new run")
        return layout

    @property
    def run(self) -> str:
        """The run's own folder; gone once the run is registered."""
        return f"{staging(self.lake)}/{self.dataset}/{self.partition}/{self.run_id}"

    @property
    def run_file(self) -> str:
        return f"{self.run}/run.json"

    @property
    def publication(self) -> str:
        """Holds what the run puts into the tables, from before the first is changed until after the last."""
        return f"{publications_folder(self.lake)}/{self.run_id}/publication.json"

    @property
    def known_files(self) -> str:
        """A list of the table's data files that may hold vectors of this run's fingerprint; empty without reuse."""
        return f"{self.run}/known.json"

    @property
    def redrive(self) -> str:
        """What a re-drive takes again, and what the partition held when it was planned; only re-drives have it."""
        return f"{self.run}/redrive.json"

    @property
    def stop(self) -> str:
        """The last error that stopped a step of the run; no step reads it."""
        return f"{self.run}/stopped.json"

    @property
    def driver_usages(self) -> str:
        """The folder of what plan and the drivers of the steps have used; no step reads it but register."""
        return f"{self.run}/usage"

    def new_driver_usage(self, step: str) -> str:
        """A fresh name for what a driver has used: each attempt has its own."""
        return f"{self.driver_usages}/{step}-{secrets.token_hex(4)}.json"

    @property
    def listing_summary(self) -> str:
        """The numbers of shards, objects and bytes, and the manifest's files: written once the listing is complete."""
        return f"{self.run}/{LISTING}.json"

    def listing(self, shard: int, digest: str) -> str:
        """The manifest of a shard. digest: the first characters of its SHA-256; so for the other files of a shard."""
        return f"{self.run}/{LISTING}/{shard_name(shard)}-{digest}.parquet"

    @property
    def versions_summary(self) -> str:
        """Names the files of known versions; written once all of them are."""
        return f"{self.step(INGEST)}/versions.json"

    def versions(self, shard: int, digest: str) -> str:
        """Where the table holds the vectors of a shard's URLs, with the version that each had."""
        return f"{self.step(INGEST)}/versions-{shard:05d}-{digest}.parquet"

    def step(self, step: str) -> str:
        return f"{self.run}/{step}"

    def receipt(self, step: str, shard: int) -> str:
        return f"{self.step(step)}/{shard_name(shard)}.json"

    @property
    def duplicates_summary(self) -> str:
        """Names the files of duplicates; written once all of them are."""
        return f"{self.step(VALIDATE)}/duplicates.json"

    def duplicates(self, shard: int, digest: str) -> str:
        return f"{self.step(VALIDATE)}/duplicates-{shard:05d}-{digest}.parquet"

    @property
    def known_summary(self) -> str:
        """Names the files of known images; written once all of them are."""
        return f"{self.step(RESIZE)}/known.json"

    def known_images(self, shard: int, digest: str) -> str:
        """Where the table holds the vectors of a shard's images, for the images that it knows."""
        return f"{self.step(RESIZE)}/known-{shard:05d}-{digest}.parquet"

    @property
    def moves_summary(self) -> str:
        """Names the files of moved rows; written once all of them are."""
        return f"{self.step(RESIZE)}/moves.json"

    def moves(self, shard: int, digest: str) -> str:
        """The rows that another shard computes for a shard, and those that it computes for others."""
        return f"{self.step(RESIZE)}/moves-{shard:05d}-{digest}.parquet"

    def rejected_bytes(self, reason: str, image_id: str) -> str:
        """Where a rejected object's bytes are kept, when the dataset asks for that. image_id: their SHA-256."""
        return f"{kept_rejects(self.lake)}/{self.dataset}/{self.partition}/{reason}/{image_id}"

    def new_output(self, step: str, shard: int, table: str | None = None) -> str:
        """A fresh name for a step's output for one shard: no other attempt has it.

        table: in whose folder it lies; by default the dataset's own for featurize, none for the other steps.
        """
        name = f"{shard_name(shard)}-{secrets.token_hex(4)}.parquet"
        if table or step == FEATURIZE:  # written where the table will look for it, so that publishing moves no bytes
            return f"{self.of_table(table or self.dataset)}{name}"
        return f"{self.step(step)}/{name}"

    def of_table(self, table: str) -> str:
        """How the URI of each file begins that the run writes for a table."""
        return f"{table_folder(self.lake, table)}/data/partition_key={self.partition}/{self.run_id}-"


def shard_name(shard: int) -> str:
    return f"shard-{shard:05d}"


def shard_of_receipt(name: str) -> int | None:
    """The shard number in a receipt's file name; None for the name of any other file.

    >>> shard_of_receipt("shard-00012.json"), shard_of_receipt("shard-00012-ab12cd34.parquet")
    (12, None)
    """
    return int(match[1]) if (match := re.fullmatch(r"shard-(\d{5,})\.json", name)) else None


def run_files_of(features_file: str, lake: str) -> list[str]:
    """What may be the run.json of the run that wrote a data file of a dataset's table; none for another kind of file.

    >>> run_files_of("s3://b/l/warehouse/features/fruit/data/partition_key=1/r1-shard-00000-ab12.parquet", "s3://b/l")
    ['s3://b/l/staging/fruit/1/r1/run.json']
    """
    pattern = rf"{re.escape(warehouse(lake))}/{names.NAMESPACE}/([^/]+)/data/partition_key=([^/]+)/([^/]+)-shard-[^/]+"
    if not (match := re.fullmatch(pattern, features_file)):
        return []
    table, partition, run_id = match.groups()
    return [Layout(lake, dataset, partition, run_id).run_file for dataset in names.datasets_of(table)]


def table_folder(lake: str, table: str, namespace: str = names.NAMESPACE) -> str:
    return f"{warehouse(lake)}/{namespace}/{table}"


def staging(lake: str) -> str:
    return f"{lake}/staging"


def warehouse(lake: str) -> str:
    return f"{lake}/warehouse"


def publications_folder(lake: str) -> str:
    return f"{lake}/publishing"


def known_files_of(lake: str, table: str) -> str:
    """Holds what the manifests of a table say of its files. It can be found again."""
    return f"{lake}/known/{table}.json"


def known(lake: str, *below: str) -> str:
    """A folder of what is kept of tables' files, so that they need not be opened. All of it can be made again."""
    return "/".join([f"{lake}/known", *below])


def upkeep_reports(lake: str) -> str:
    return f"{lake}/upkeep/reports.json"


def forgotten_folder(lake: str) -> str:
    return f"{lake}/forgotten"


def kept_rejects(lake: str) -> str:
    """Holds the bytes of rejected objects, each under its image_id."""
    return f"{lake}/quarantine"


def models_folder(lake: str) -> str:
    return f"{lake}/models"


def model_folder(lake: str, fingerprint: str) -> str:
    return f"{models_folder(lake)}/{fingerprint}"


def model_facts(lake: str, fingerprint: str) -> str:
    """The file that is written last of a model's folder: with it the model is prepared."""
    return f"{model_folder(lake, fingerprint)}/model.json"


def described_model(lake: str, digest: str) -> str:
    """What was found in a user's model file. digest: of the file and of what was asked."""
    return f"{lake}/models/described/{digest}.json"


def served_golden(lake: str, digest: str, number: int) -> str:
    """What a model server gave for the golden pictures. digest: of the question. number: from 0, of other answers."""
    return f"{lake}/models/served/{digest}-{number}.npy"


def weights_record(lake: str, model: str, sha256: str | None = None) -> str:
    """Holds the digest of the arrays that a model's weights are held to. sha256: of a file that a user names."""
    return f"{lake}/models/{model}{f'-{sha256[:16]}' if sha256 else ''}/weights.json"


def moved(uri: str, old: str, new: str) -> str:
    """The URI in the new place of a lake, if it lies in the old one; otherwise the URI as it is.

    One place may lie in the other. What lies in the new one already stays, so that a change that was interrupted can be
    made again.

    >>> moved("file:///lake/staging/a", "file:///lake", "s3://b/lake"), moved("file:///lake2/a", "file:///lake", "s3://b")
    ('s3://b/lake/staging/a', 'file:///lake2/a')
    >>> moved("file:///lake/copy/a", "file:///lake", "file:///lake/copy")
    'file:///lake/copy/a'
    """
    if not uri.startswith(f"{old}/") or (new.startswith(f"{old}/") and uri.startswith(f"{new}/")):
        return uri
    return new + uri.removeprefix(old)


def folder_reservation(lake: str, dataset: str) -> str:
    """Holds the source of a dataset that has no dataset file: the name is reserved for this source."""
    return f"{lake}/folders/{dataset}"
