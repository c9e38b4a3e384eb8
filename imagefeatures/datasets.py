"""What a user writes: the fields of a dataset file, and the parameters of one run.

Both are pydantic models; `imagefeatures.dataset_files` reads the files. Every bound is defined once, in this module:
the DAG builds its trigger form from `RunParams`, `plan` validates with it, and the jobs receive the validated values.

This module is imported whenever Airflow parses the DAG file: pydantic only, nothing heavy.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from imagefeatures import names
from imagefeatures.errors import ParamsError
from imagefeatures.limits import Limits
from imagefeatures.models import backbones
from imagefeatures.reasons import printable
from imagefeatures.sources import AnySource, Folder, patterns
from imagefeatures.strict import StrictModel

NAME = names.DATASET_NAME
RESERVED_NAMES = {names.QUARANTINE, names.RUNS}  # the service's own tables in the same namespace
FIRST_DAY, LAST_DAY = dt.date(1970, 1, 1), dt.date(2199, 12, 31)  # beyond them the calendars of Airflow overflow

MONTHS = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}
CRON_WORDS = MONTHS | {"mon", "tue", "wed", "thu", "fri", "sat", "sun", "l"}  # l: the last day of a month


class Dataset(StrictModel):
    """One dataset file: `datasets/fruit.yaml` is DAG `features_fruit` and table `features.fruit`."""

    name: str = Field(pattern=NAME, description="Name of the table and of the DAG")
    source: AnySource = Field(description="A folder's URI, s3://… or file:///… or relative to this file; or a mapping")
    pattern: list[str] | None = Field(
        None, min_length=1, exclude=True, description="Short form of the source's own pattern: what is taken"
    )
    exclude: list[str] | None = Field(
        None, min_length=1, exclude=True, description="Short form of the source's own exclude: what is passed over"
    )
    label: str = Field("parent", description="parent, none, or a regular expression with one group")
    schedule: str | None = Field(None, description="A midnight cron expression; null = manual and backfill only")
    start_date: dt.date = Field(
        dt.date(2020, 1, 1), ge=FIRST_DAY, le=LAST_DAY, description="Midnight from which scheduled runs begin"
    )
    model: str = Field(backbones.DEFAULT, json_schema_extra={"enum": list(backbones.BACKBONES)})
    engine: Literal["openvino", "tensorflow"] = "openvino"
    sample: float = Field(1.0, gt=0, le=1, description="Share of the keys, chosen by their hash")
    limits: Limits = Limits()
    duplicates: Literal["keep", "reject"] = "keep"
    keep_rejected: bool = Field(False, description="Keep rejected bytes in the lake, for a person to look at")
    reuse: bool = Field(True, description="Take vectors from the table for images that it already has")
    on_empty: Literal["fail", "skip"] = "fail"

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"{name!r} is the service's own table; choose another name")
        return name

    @field_validator("source", mode="before")
    @classmethod
    def _a_text_is_a_folder(cls, source: Any) -> Any:
        if isinstance(source, str):
            try:
                return Folder(uri=source)
            except ValidationError as error:
                raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        if not isinstance(source, dict | Folder):
            raise ValueError("must be a text such as s3://bucket/folder/, or a mapping with uri")
        return source

    @field_validator("pattern", "exclude", mode="before")
    @classmethod
    def _one_pattern_is_a_list_too(cls, given: Any) -> Any:
        if given is None:
            raise ValueError("must be a list of texts")
        return [given] if isinstance(given, str) else given

    @field_validator("pattern", "exclude")
    @classmethod
    def _patterns_mean_something_and_stand_once(cls, given: list[str] | None, info: ValidationInfo) -> list[str] | None:
        if given and info.field_name in getattr(info.data.get("source"), "model_fields_set", ()):
            raise ValueError("is set in source too; remove one of them")
        return given and list(map(patterns.check, given))

    @model_validator(mode="after")
    def _patterns_are_the_sources(self) -> Self:
        given = {name: tuple(value) for name in ("pattern", "exclude") if (value := getattr(self, name)) is not None}
        if given:
            # The model is frozen, so only object's own __setattr__ can set a field. pydantic ignores a new instance.
            object.__setattr__(self, "source", self.source.model_copy(update=given))
        for name in given:
            object.__setattr__(self, name, None)
        return self

    @field_validator("model")
    @classmethod
    def _model_is_known(cls, model: str) -> str:
        if model not in backbones.BACKBONES:
            raise ValueError(f"must be one of {', '.join(backbones.BACKBONES)}")
        return model

    @field_validator("label")
    @classmethod
    def _label_has_one_group(cls, label: str) -> str:
        if label in ("parent", "none"):
            return label
        try:
            groups = re.compile(label).groups
        except Exception as error:  # not re.error alone: deep nesting and large counts raise others
            raise ValueError(f"neither parent, none nor a regular expression: {error}") from None
        if groups != 1:
            raise ValueError(f"the regular expression needs exactly one group, it has {groups}")
        return label

    @field_validator("schedule")
    @classmethod
    def _schedule_is_at_midnight(cls, schedule: str | None) -> str | None:
        # A partition is a day: backfill bounds compare as instants, and any later hour would drop the last day.
        if schedule is None:
            return None
        if not re.fullmatch(r"0 0( [0-9*/,A-Za-z-]+){3}", schedule):
            raise ValueError('must be a cron expression at midnight, such as "0 0 * * *"')
        # Else croniter chooses: R is a random day, H one by a hash.
        if unknown := set(re.findall("[a-z]+", schedule.lower())) - CRON_WORDS:
            raise ValueError(f"is not a cron expression: {min(unknown)!r} is neither a month nor a weekday")
        _check_cron(schedule)
        return schedule

    def source_for(self, partition: str) -> AnySource:
        """The source that holds the partition's objects."""
        return self.source.for_partition(partition)

    def label_of(self, uri: str) -> str | None:
        """The label that the dataset's rule finds in the object's URI; None when it finds none.

        >>> Dataset(name="d", source="s3://b/").label_of("s3://b/2026-11-01/pear/17.jpg")
        'pear'
        >>> Dataset(name="d", source="s3://b/", label=r"/([a-z]+)_[0-9]+[.]").label_of("s3://b/fig_3.png")
        'fig'
        """
        if self.label == "none":
            return None
        if self.label == "parent":
            path = uri.partition("://")[2].split("/")
            return path[-2] if len(path) > 2 else None
        match = re.search(self.label, uri)
        return match.group(1) if match else None


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


def _check_cron(schedule: str) -> None:
    """Raise ValueError when Airflow would refuse the expression, or find no day for it: by the library that it uses."""
    from croniter import croniter  # when a schedule is set

    start = dt.datetime(2026, 1, 1)
    try:
        croniter(schedule, start).get_next(dt.datetime)
        croniter(schedule, start).get_prev(dt.datetime)
    except Exception as error:  # it raises more than its own errors
        raise ValueError(f"is not a cron expression: {error}") from None


MOST_SENTENCES = 20


def one_line(error: ValidationError) -> str:
    """A pydantic error as `field: what is wrong (got …)`, several joined by semicolons."""
    sentences = list(_sentences(error))
    more = len(sentences) - MOST_SENTENCES
    return "; ".join(sentences[:MOST_SENTENCES]) + (f"; and {more} more" if more > 0 else "")


def _sentences(error: ValidationError) -> Iterable[str]:
    for part in error.errors(include_url=False):
        field = printable(".".join(str(step) for step in part["loc"]))
        if part["type"] == "extra_forbidden":
            yield f"{field}: unknown field"
        elif part["type"] == "missing":
            yield f"{field}: is required"
        else:
            yield f"{field}: {printable(part['msg'])} (got {_shown(part['input'])})"


def _shown(given: object) -> str:
    try:
        text = repr(given)
    except Exception:  # Python writes no whole number of more than 4,300 digits
        return f"a value of type {type(given).__name__}"
    return f"{text[:80]}{'…' if len(text) > 80 else ''}"
