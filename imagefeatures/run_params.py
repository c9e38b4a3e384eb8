"""The parameters of one run: each with its bounds, which are defined here alone.

The DAG builds its trigger form from `RunParams`, `plan` validates with it, and the jobs receive the validated values.

This module is imported whenever Airflow parses the DAG file: pydantic only, nothing heavy.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError

from imagefeatures import names
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError
from imagefeatures.limits import Limits
from imagefeatures.strict import StrictModel
from imagefeatures.wording import one_line


class RunParams(StrictModel):
    """What a trigger, a backfill's conf or a command line may set for one run. None: the dataset file's value."""

    partition: str | None = Field(
        None,
        pattern=names.PARTITION,
        title="Partition",
        description="The day to run, such as 2026-11-02. Leave empty in a backfill: each run knows its own day.",
    )
    sample: float | None = Field(
        None,
        gt=0,
        le=1,
        title="Sample",
        description="Share of the objects, chosen by the hash of their keys: a trial run",
    )
    max_rejected: float | None = Field(
        None,
        ge=0,
        le=1,
        title="Failure budget",
        description="Share of the objects that may be rejected before the run stops",
    )
    decode_seconds: float | None = Field(
        None, ge=0.1, le=600, title="Seconds per image", description="Longest time one image may take to decode"
    )
    reuse: bool | None = Field(
        None,
        title="Reuse",
        description="Take vectors from the table for images that it already has; off: compute every vector again",
    )
    shard_images: int = Field(
        512,
        ge=1,
        le=10_000,
        title="Images per shard",
        description="Most images that one worker holds at once (150 kB of pixels each)",
    )
    shard_bytes: int = Field(
        64 * 2**20,
        ge=2**20,
        le=2**30,
        title="Bytes per shard",
        description="Most source bytes that one worker holds at once",
    )
    replace_newer: bool = Field(
        False,
        title="Replace a newer run",
        description="Publish this run even where one that was planned later is published already",
    )

    @classmethod
    def parse(cls, given: dict[str, Any]) -> RunParams:
        """Check the parameters. Raises ParamsError naming the field."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise ParamsError(one_line(error)) from None

    def applied_to(self, dataset: Dataset) -> Dataset:
        """The dataset with this run's parameters in place of the file's values."""
        given = {name: value for name in self.overridden(dataset) if (value := getattr(self, name)) is not None}
        limits = {name: given.pop(name) for name in list(given) if name in Limits.model_fields}
        return dataset.model_copy(update=given | {"limits": dataset.limits.model_copy(update=limits)})

    @classmethod
    def overridden(cls, dataset: Dataset) -> dict[str, Any]:
        """The parameters that override a field of the dataset file, or of its limits; each with the file's value."""
        fields = dict(dataset) | dict(dataset.limits)
        return {name: fields[name] for name in cls.model_fields if name in fields}
