"""The URIs of all files in the lake. No other module puts these names together.

<lake>/staging/<dataset>/<partition>/<run>/run.json
                                          /known.json                                    files with vectors to reuse
                                          /ingest/listing/shard-00012-<digest>.parquet   the objects of a shard
                                          /ingest/listing.json                           names those files, written last
                                          /<step>/shard-00012-<random>.parquet           the step's output
                                          /<step>/shard-00012-<random>-rejected.parquet  the rejected rows, with reasons
                                          /<step>/shard-00012-<random>-reused.parquet    rows with vectors of the table
                                          /<step>/shard-00012.json                       the receipt, written last
<lake>/warehouse/features/<table>/data/partition_key=<partition>/<run>-shard-00012-<random>.parquet
<lake>/models/<fingerprint>/
<lake>/folders/<dataset>                     the source of a dataset without a dataset file
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from imagefeatures import names
from imagefeatures.errors import ParamsError
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
    def of_run_file(cls, uri: str, lake: str) -> Layout:
        """The layout of the run whose run.json has this URI, even if the file is gone. Raises ParamsError.

        >>> Layout.of_run_file("s3://b/lake/staging/fruit/2026-11-02/r1/run.json", "s3://b/lake").run_id
        'r1'
        """
        match = re.fullmatch(re.escape(lake) + r"/staging/([^/]+)/([^/]+)/([^/]+)/run\.json", uri)
        if not match:
            raise ParamsError(f"--run: {uri} is not the run.json of a run in {lake}")
        return cls(lake, *match.groups())

    @property
    def run(self) -> str:
        """The run's own folder; gone once the run is registered."""
        return f"{self.lake}/staging/{self.dataset}/{self.partition}/{self.run_id}"

    @property
    def run_file(self) -> str:
        return f"{self.run}/run.json"

    @property
    def known_files(self) -> str:
        """A list of the table's data files that may hold vectors of this run's fingerprint; empty without reuse."""
        return f"{self.run}/known.json"

    @property
    def listing_summary(self) -> str:
        """The numbers of shards, objects and bytes, and the manifest's files: written once the listing is complete."""
        return f"{self.run}/{LISTING}.json"

    def listing(self, shard: int, digest: str) -> str:
        """The manifest of a shard. digest: the first characters of its SHA-256; so for the other files of a shard."""
        return f"{self.run}/{LISTING}/{shard_name(shard)}-{digest}.parquet"

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

    def rejected_bytes(self, reason: str, image_id: str) -> str:
        """Where a rejected object's bytes are kept, when the dataset asks for that. image_id: their SHA-256."""
        return f"{self.lake}/quarantine/{self.dataset}/{self.partition}/{reason}/{image_id}"

    def new_output(self, step: str, shard: int) -> str:
        """A fresh name for a step's output for one shard: no other attempt has it."""
        name = f"{shard_name(shard)}-{secrets.token_hex(4)}.parquet"
        if step == FEATURIZE:  # written where the table will look for it, so that publishing moves no bytes
            return f"{table_folder(self.lake, self.dataset)}/data/partition_key={self.partition}/{self.run_id}-{name}"
        return f"{self.step(step)}/{name}"


def shard_name(shard: int) -> str:
    return f"shard-{shard:05d}"


def shard_of_receipt(name: str) -> int | None:
    """The shard number in a receipt's file name; None for the name of any other file.

    >>> shard_of_receipt("shard-00012.json"), shard_of_receipt("shard-00012-ab12cd34.parquet")
    (12, None)
    """
    match = re.fullmatch(r"shard-(\d{5,})\.json", name)
    return int(match.group(1)) if match else None


def table_folder(lake: str, table: str) -> str:
    return f"{warehouse(lake)}/{names.NAMESPACE}/{table}"


def warehouse(lake: str) -> str:
    return f"{lake}/warehouse"


def model_folder(lake: str, fingerprint: str) -> str:
    return f"{lake}/models/{fingerprint}"


def folder_reservation(lake: str, dataset: str) -> str:
    """Holds the source of a dataset that has no dataset file: the name is reserved for this source."""
    return f"{lake}/folders/{dataset}"
