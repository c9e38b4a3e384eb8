"""The parameters of one run: each with its bounds, which are defined here alone.

The DAG builds its trigger form from `RunParams`, `plan` validates with it, and the jobs receive the validated values.

This module is imported whenever Airflow parses the DAG file: pydantic only, nothing heavy.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, field_validator
from pydantic.config import JsonDict

from imagefeatures import names
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError
from imagefeatures.learning.declared import MOST_COMPONENTS, MOST_SEED, Classify, Kind
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason, printable
from imagefeatures.strict import StrictModel, unusable_texts
from imagefeatures.wording import meant, one_line

DAYS_AGO = {"today": 0, "yesterday": 1}
"""The partitions that are named by a word, and by how many days they are before the day in UTC."""

TUNING: JsonDict = {"section": "Tuning"}
"""In Airflow's form: a section of its own, which is closed at first."""


def _some_lines(uris: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if uris is None:
        return None
    # A form's lines may be blank, and end as Windows ends them. Blanks at the end of one may be a part of the key, or
    # have been copied with it: both are looked for.
    lines = (uri.lstrip().rstrip("\r\n") for uri in uris if uri.strip())
    if not (given := tuple(dict.fromkeys(uri for line in lines for uri in (line, line.rstrip())))):
        raise ValueError("must name an object; where the field is left out, every one is taken")
    return given


def _image_ids(image_ids: tuple[str, ...] | None) -> tuple[str, ...] | None:
    given = tuple(dict.fromkeys(image_id.strip().lower() for image_id in _some_lines(image_ids) or ()))
    for image_id in given:
        if not re.fullmatch("[0-9a-f]{64}", image_id):
            raise ValueError(f"{image_id!r} is no SHA-256 of 64 hexadecimal digits")
    return _few(given) or None


def _few(lines: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if lines and len(lines) > MOST_FORGOTTEN:
        raise ValueError(f"must have at most {MOST_FORGOTTEN:,} lines (got {len(lines):,}); make several requests")
    return lines


MOST_FORGOTTEN = 1000
"""The most images, and the most URIs, of one request: each file of the lake is searched for each of them."""

Lines = Annotated[tuple[str, ...] | None, AfterValidator(_some_lines)]
"""URIs, one on each line; None for all of them."""


def day_named(partition: str, moment: dt.datetime) -> str:
    """The partition that a person has named. moment: when, with its zone.

    >>> now = dt.datetime(2026, 11, 3, 1, tzinfo=dt.UTC)
    >>> day_named("yesterday", now), day_named("Today", now), day_named("2026-10-05", now)
    ('2026-11-02', '2026-11-03', '2026-10-05')
    """
    ago = DAYS_AGO.get(partition.lower())
    return partition if ago is None else str(moment.astimezone(dt.UTC).date() - dt.timedelta(days=ago))


class Params(StrictModel):
    """Parameters that a form, a conf or a command line gives."""

    @classmethod
    def parse(cls, given: dict[str, Any]) -> Self:
        """Check the parameters. Raises ParamsError naming the field."""
        try:
            params = cls.model_validate(given)
        except ValidationError as error:
            raise ParamsError(one_line(error, cls)) from None
        for field in unusable_texts(given):  # it would stop whoever writes it down, and each who goes on with that
            raise ParamsError(f"{printable(field)}: holds a character that cannot be stored")
        return params


class RunParams(Params):
    """What a trigger, a backfill's conf or a command line may set for one run. None: the dataset file's value."""

    partition: str | None = Field(
        None,
        pattern=names.PARTITION,
        title="Partition",
        description=(
            "The day to fill, in UTC: yesterday, today, or one such as 2026-11-02. A scheduled run, and each run of a "
            "backfill, fills its own day; leave this as it is there. The page Image features has those published."
        ),
        json_schema_extra={"examples": ["yesterday", "today"]},
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
        None,
        ge=0.1,
        le=600,
        title="Seconds per image",
        description="Longest time one image may take to decode",
        json_schema_extra=TUNING,
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
        json_schema_extra=TUNING,
    )
    shard_bytes: int = Field(
        64 * 2**20,
        ge=2**20,
        le=2**30,
        title="Bytes per shard",
        description="Most source bytes that one worker holds at once",
        json_schema_extra=TUNING,
    )
    replace_newer: bool = Field(
        False,
        title="Replace a newer run",
        description="Publish this run even where one that was planned later is published already",
    )

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


class RedriveParams(Params):
    """Which quarantined objects a re-drive takes again: those that fit every parameter that is given."""

    partition: str | None = Field(
        None,
        pattern=names.PARTITION,
        title="Partition",
        description="The partition whose quarantined objects are taken again; empty: every published one that has some",
        json_schema_extra={"examples": ["yesterday", "today"]},
    )
    reason: str | None = Field(
        None,
        title="Reason",
        description="Only what is quarantined for this reason, such as FETCH_TIMEOUT",
        json_schema_extra={"enum": [*map(str, Reason), None]},
    )
    since: dt.date | None = Field(
        None,
        title="Since",
        description="Only what was quarantined on this day or later, in UTC",
    )
    uris: Lines = Field(
        None,
        title="URIs",
        description="Only these objects, one on each line: their URIs as features.quarantine has them",
    )

    @field_validator("reason")
    @classmethod
    def _reason_is_known(cls, reason: str | None) -> str | None:
        if reason is not None and reason not in set(Reason):
            near = meant(reason, list(Reason))
            raise ValueError(f"is no reason code{near if near.startswith(' (did') else ''}")
        return reason


class UnpublishParams(Params):
    """What is taken back of what a dataset has published, and why."""

    partition: str | None = Field(
        None,
        pattern=names.PARTITION,
        title="Partition",
        description="The partition that is taken back; empty: every published one",
        json_schema_extra={"examples": ["yesterday", "today"]},
    )
    uris: Lines = Field(
        None,
        title="URIs",
        description="Only these objects, one on each line: their URIs as the tables have them; empty: all of them",
    )
    why: str = Field(
        min_length=1,
        max_length=500,
        title="Reason",
        description="Why, in a sentence; features.withdrawals keeps it, with who asked",
    )
    dry_run: bool = Field(
        True,
        title="Dry run",
        description="Only say what would leave, and change nothing",
    )


class ForgetParams(Params):
    """Which images are forgotten, and why."""

    image_ids: Annotated[tuple[str, ...] | None, AfterValidator(_image_ids)] = Field(
        None,
        title="Image ids",
        description="The images, one on each line: the SHA-256 of their bytes, as the column image_id has it",
    )
    uris: Annotated[Lines, AfterValidator(_few)] = Field(
        None,
        title="URIs",
        description="Objects, one on each line, as the tables have them: the images that they are or were, and they "
        "themselves for all runs to come",
    )
    why: str = Field(
        min_length=1,
        max_length=500,
        title="Reason",
        description="Why, in a sentence without a name; features.forgotten keeps it, with who asked",
    )
    dry_run: bool = Field(
        True,
        title="Dry run",
        description="Only say where the images are, and change nothing",
    )


class UpkeepParams(Params):
    """Whether upkeep removes what it finds."""

    dry_run: bool = Field(
        True,
        title="Dry run",
        description="Only say what would be removed, and change nothing; a scheduled run removes it",
    )


class ClassifyParams(Params):
    """What a trigger may set for one fit of a classifier. None: the value of `classify:` in the dataset file."""

    model: Kind | None = Field(None, title="Classifier", description="The kind of classifier that is fitted")
    components: int | None = Field(
        None,
        ge=2,
        le=MOST_COMPONENTS,
        title="Components",
        description="How many principal components of the vectors it sees; no matter where reduce is scale",
    )
    split_seed: int | None = Field(
        None,
        ge=0,
        le=MOST_SEED,
        title="Split seed",
        description="Which images are held out: another choice for each number; 0 is that of read.open",
    )

    def applied_to(self, classify: Classify) -> Classify:
        """What the dataset file says, with these parameters in place of its values."""
        given = {name: value for name, value in self if value is not None}
        return classify.model_copy(update=given)
