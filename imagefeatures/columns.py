"""How a column is declared, and those of features.runs that come in groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from imagefeatures.steps import MEASURED, SPARK_STEPS


def column(name: str, kind: pa.DataType, doc: str = "", *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"doc": doc} if doc else None)


STEP_COLUMNS = [
    column(f"{step}_{what}", kind, f"{step}: {doc}")
    for step in SPARK_STEPS
    for what, kind, doc in (
        ("seconds", pa.float64(), "time during which at least one worker was busy, in seconds"),
        ("images", pa.int64(), "images that came in"),
        ("bytes", pa.int64(), "bytes written for the next step"),
    )
]

_NOT_MEASURED = "null where it was not measured"

COST_COLUMNS = [
    column(f"{step}_{what}", kind, f"{step}: {doc}; {_NOT_MEASURED}", nullable=True)
    for step in MEASURED
    for what, kind, doc in (
        ("core_seconds", pa.float64(), "time of cores, of workers and driver, in seconds"),
        ("peak_memory", pa.int64(), "the most memory of one worker with its decode process, in bytes"),
    )
] + [
    column(name, kind, f"{doc}; {_NOT_MEASURED}", nullable=True)
    for name, kind, doc in (
        ("bytes_read", pa.int64(), "Bytes that all steps read from sources and the lake"),
        ("bytes_written", pa.int64(), "Bytes that all steps wrote to the lake"),
        ("get_requests", pa.int64(), "GET and HEAD requests to object stores, each attempt"),
        ("put_requests", pa.int64(), "PUT, COPY, POST and LIST requests to object stores, each attempt"),
        ("http_requests", pa.int64(), "Requests to the hosts of URLs, each attempt"),
        ("images_per_core_second", pa.float64(), "Images that the run took, divided by the core_seconds of all steps"),
        ("joules", pa.float64(), "Energy of the machine during the steps on shards"),
    )
]

OUTPUT_COLUMNS = [
    column(
        "models",
        pa.map_(pa.string(), pa.string()),
        "The further models, each with a table features.<dataset>__<model>, and the fingerprint of each; null in "
        "rows older than this column",
        nullable=True,
    ),
    column(
        "pixels",
        pa.string(),
        "Fingerprint of the rows in features.<dataset>_pixels; null where there are none, and in rows older than "
        "this column",
        nullable=True,
    ),
    column(
        "models_reused",
        pa.map_(pa.string(), pa.int64()),
        "Registered rows of each further model whose vector an earlier run had computed; null in rows older than "
        "this column",
        nullable=True,
    ),
]
"""What a run has published besides the vectors of its first model."""

COPIES_COLUMN = column(
    "copies",
    pa.int32(),
    "Augmented copies of each image, which are rows too; null in rows older than this column",
    nullable=True,
)

SLOWEST_COLUMN = column(
    "slowest",
    pa.list_(
        pa.field(
            "element",
            pa.struct(
                [
                    column("step", pa.string()),
                    column("shard", pa.int32()),
                    column("images", pa.int64()),
                    column("seconds", pa.float64()),
                ]
            ),
            nullable=False,
        )
    ),
    "At most five shards that took longest, of all steps, the slowest first: images that came in, seconds of the work; "
    "null or empty in rows older than this column",  # pyiceberg writes a list of structs that is null as an empty one
    nullable=True,
)

FORGOTTEN_COLUMNS = [
    column("run_id", pa.string(), "The request"),
    column("hashes", pa.list_(pa.string()), "A keyed hash of each image and URI, as in the list that ingest reads"),
    column("asked_by", pa.string(), "Who asked for it"),
    column("why", pa.string(), "Why, in the words of whoever asked"),
    column("requested_at", pa.timestamp("us", tz="UTC"), "When it was asked for"),
    column("done_at", pa.timestamp("us", tz="UTC"), "When nothing of it was found any more"),
    column("rows", pa.int64(), "Rows that were removed from tables as they were"),
    column("files_rewritten", pa.int64(), "Data files that were written anew without it"),
    column("files_deleted", pa.int64(), "Files that were deleted: of tables, kept rejects and exports"),
    column("runs_removed", pa.int64(), "Unfinished runs whose staging folder was removed"),
    column("snapshots_expired", pa.int64(), "Snapshots that were expired, with the tags that named them"),
]
"""Those of features.forgotten: what was done about a request that images be forgotten."""

_FIVE = "the smallest, 5 %, the median, 95 % and the largest; none where there is no picture"
_VECTOR = pa.list_(pa.field("element", pa.float32(), nullable=False))
_COUNTS = pa.map_(pa.string(), pa.int64())

STATISTICS_COLUMNS = [
    column("run_id", pa.string(), "The run whose rows they are of; joins with features.runs"),
    column("table", pa.string(), "The table that they are of, without its namespace"),
    column("model", pa.string(), "Name of the model; none for pixels"),
    column("fingerprint", pa.string(), "Of the table's rows; drift compares equal ones"),
    column("computed_at", pa.timestamp("us", tz="UTC"), "When they were computed"),
    column("listed", pa.int64(), "Objects listed"),
    column("quarantined", pa.int64(), "Rows in features.quarantine"),
    column("reasons", _COUNTS, "How many objects were quarantined for each reason"),
    column("images_per_second", pa.float64(), "Images that the run took, by the time from plan to register"),
    column("pictures", pa.int64(), "Rows of the table, without augmented copies"),
    column("duplicates", pa.int64(), "Pictures whose bytes an earlier row of the partition has too"),
    column("labels", _COUNTS, "How many pictures have each label, of the 1,000 most frequent labels"),
    column("unlabelled", pa.int64(), "Pictures without a label"),
    column("formats", _COUNTS, "How many pictures have each ending of the name, of the 20 most frequent ones"),
    column("modes", _COUNTS, "How many pictures have each Pillow mode"),
    column("sizes", pa.list_(pa.int64()), f"Bytes of a picture's object: {_FIVE}"),
    column("widths", pa.list_(pa.int64()), f"Pixels: {_FIVE}"),
    column("heights", pa.list_(pa.int64()), f"Pixels: {_FIVE}"),
    column("mean", _VECTOR, "Mean of the vectors, each scaled to length 1; null of fewer than 50", nullable=True),
    column("covariance", _VECTOR, "Covariance of their projections, 32 × 32, row by row; null as mean", nullable=True),
    column("reference", pa.list_(pa.string()), "The earlier partitions against which drift was measured"),
    column("drift", pa.float64(), "How far the vectors are from those; null without a reference", nullable=True),
    column("drift_probability", pa.float64(), "How often chance makes as much of it; null as drift", nullable=True),
    column("drift_bound", pa.float64(), "What chance exceeds as often as the level says; null as drift", nullable=True),
    column("alerts", pa.map_(pa.string(), pa.string()), "What is out of bounds: the alert, and in a sentence why"),
]
"""Those of features.statistics besides the partition key and the dataset."""


def rows_of_run(run: Mapping[str, Any]) -> int:
    """How many rows each table of features has of a run. run: its row of features.runs."""
    return int(run["registered"]) * rows_of_image(run)


def rows_of_image(run: Mapping[str, Any]) -> int:
    """The same of each registered image: itself and its augmented copies."""
    return 1 + (run.get("copies") or 0)


def quarantine_rate(run: Mapping[str, Any]) -> float:
    """Of the listed objects, how many are quarantined: 0 to 1. run: its row of features.runs."""
    return run["quarantined"] / run["listed"] if run["listed"] else 0.0


def images_per_second(run: Mapping[str, Any]) -> float:
    """The images that a run took, by the time from its plan to its publication, with all waiting.

    Of a re-drive, those that it took again.
    """
    return float(run["ingest_images"] / max(1e-3, (run["finished_at"] - run["started_at"]).total_seconds()))
