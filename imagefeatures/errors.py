"""The errors that can stop a run, as one tree; and `Rejected`, which stops only one image.

    ImageFeaturesError
    ├── InputError              a retry will not help: Airflow fails the task at once
    │   ├── SettingsError       an environment variable
    │   ├── DatasetError        a dataset file
    │   ├── ParamsError         the trigger form, a backfill's conf, a partition key
    │   ├── StoreRefused        no such bucket, wrong credentials
    │   ├── CatalogRefused      no such database, wrong password, no permission
    │   ├── NoInput             nothing matches (and the dataset says that this is an error)
    │   ├── TooManyRejected     more objects were rejected than the failure budget allows
    │   ├── ModelMismatch       weights missing, altered, or of another width
    │   ├── ServingRefused      a model server refuses a request, or gives something else than vectors
    │   ├── AlertRaised         a published run is out of the bounds of `alerts`, which says `fail: true`
    │   ├── AuditFailed         the run's numbers do not add up: nothing is published
    │   └── OlderRun            a run that was planned later is published already
    ├── DecoderUnavailable      no decode process can be started here
    ├── WorkerDied              a worker process of a local run ended in the middle of a shard
    ├── CatalogError            the catalog does not answer: a retry may help
    ├── ServingError            a model server did not answer in time: a retry may help
    └── StoreError              the store did not answer in time: a retry may help

A bad *image* raises none of these: it raises `Rejected`, which its shard catches and writes down as a
quarantine row.
"""

from __future__ import annotations

from imagefeatures.reasons import Reason

EXIT_INPUT_ERROR = 65
"""Exit status of a job that an `InputError` stopped (sysexits' EX_DATAERR): the retry policy reads it."""


class ImageFeaturesError(Exception):
    """Base of all errors of this package; its text is one line for a person."""


class InputError(ImageFeaturesError):
    """The request cannot be fulfilled, and a retry will not change that."""


class SettingsError(InputError):
    """An environment variable or a Spark setting is malformed; the text names it."""


class DatasetError(InputError):
    """A dataset file is malformed; the text names the file and the field."""


class ParamsError(InputError):
    """A run parameter is malformed; the text names it."""


class StoreRefused(InputError):
    """The store refused a request: missing bucket, wrong credentials."""


class CatalogRefused(InputError):
    """The Iceberg catalog refused a request: missing database, wrong password, no permission."""


class NoInput(InputError):
    """No object matches the dataset's source and pattern for this partition."""


class TooManyRejected(InputError):
    """More of the listed objects were rejected than `limits.max_rejected` allows."""


class ModelMismatch(InputError):
    """The weights are missing or are not the model's own, or an engine differs from the reference."""


class ServingRefused(InputError):
    """A model server refused a request, or answered with something else than the model's vectors."""


class AuditFailed(InputError):
    """The run's files, receipts and listing disagree; register then publishes nothing."""


class AlertRaised(InputError):
    """A run is out of the bounds that the dataset's `alerts` declare, with `fail: true`. What it published stays."""


class OlderRun(InputError):
    """A run that was planned later holds the partition; register then leaves that run's rows where they are.

    Of a re-drive: any run but the one whose quarantined objects it takes again.
    """


class DecoderUnavailable(ImageFeaturesError):
    """A decode process ended before its first image: a fault of the machine, not of an image."""


class WorkerDied(ImageFeaturesError):
    """A worker process of a local run could not be started, or ended in a shard: killed, or crashed in native code."""


class CatalogError(ImageFeaturesError):
    """The Iceberg catalog did not answer, or cannot serve at present: a retry may help."""


class ServingError(ImageFeaturesError):
    """A model server failed in a way that may pass, for longer than requests are retried: a retry may help."""


class StoreError(ImageFeaturesError):
    """The store failed in a way that may pass (timeouts, resets, 5xx), for longer than requests are retried."""


class Rejected(Exception):
    """One image cannot become features. Raised and caught inside a shard; never leaves it.

    reason: the code in the quarantine table.
    detail: what was found and what was expected, for a person to read.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
