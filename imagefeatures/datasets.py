"""What a user writes: the fields of a dataset file, each with its bounds.

`imagefeatures.dataset_files` reads the files; `imagefeatures.run_params` may change some fields for one run.

This module is imported whenever Airflow parses the DAG file: pydantic only, nothing heavy.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationError, ValidationInfo, field_validator, model_validator

from imagefeatures import names
from imagefeatures.learning.declared import Classify
from imagefeatures.limits import Limits
from imagefeatures.models import backbones
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.preprocessing import declared
from imagefeatures.sources import AnySource, Folder, patterns
from imagefeatures.sources.located import Located
from imagefeatures.strict import StrictModel
from imagefeatures.wording import only_sentence

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
    model: Annotated[
        Annotated[str, Tag("(name)")] | Annotated[OwnModel, Tag("(file)")],
        Discriminator(lambda model: "(file)" if isinstance(model, dict | OwnModel) else "(name)"),
    ] = Field(backbones.DEFAULT, description="A model by its name; or a mapping, for a model from a file")
    engine: Literal["openvino", "tensorflow"] = "openvino"
    preprocess: tuple[declared.Declared, ...] | None = Field(
        None, description="The transforms of each picture, in their order; null: stretched to the model's input"
    )
    sample: float = Field(1.0, gt=0, le=1, description="Share of the keys, chosen by their hash")
    limits: Limits = Limits()
    duplicates: Literal["keep", "reject"] = "keep"
    keep_rejected: bool = Field(False, description="Keep rejected bytes in the lake, for a person to look at")
    reuse: bool = Field(True, description="Take vectors from the table for images that it already has")
    on_empty: Literal["fail", "skip"] = "fail"
    classify: Classify | None = Field(None, description="Fit a classifier to the vectors after each run; null: none")

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
                raise ValueError(only_sentence(error)) from None
        if isinstance(source, dict):
            return {"kind": "folder", **source}
        if not isinstance(source, Located):
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
    def _patterns_mean_something_and_stand_once(cls, given: list[str], info: ValidationInfo) -> list[str]:
        source = info.data.get("source")
        if info.field_name in getattr(source, "model_fields_set", ()):
            raise ValueError("is set in source too; remove one of them")
        if source and not isinstance(source, Folder):
            raise ValueError(f"is for a folder; the source is of kind {source.kind}")
        return list(map(patterns.check, given))

    @model_validator(mode="after")
    def _patterns_are_the_sources(self) -> Self:
        given = {name: tuple(value) for name in ("pattern", "exclude") if (value := getattr(self, name)) is not None}
        if given:
            # The model is frozen, so only object's own __setattr__ can set a field. pydantic ignores a new instance.
            object.__setattr__(self, "source", self.source.model_copy(update=given))
        for name in given:
            object.__setattr__(self, name, None)
        return self

    @field_validator("model", mode="before")
    @classmethod
    def _a_name_alone_is_the_short_form(cls, model: Any) -> Any:
        return model["name"] if isinstance(model, dict) and set(model) == {"name"} else model

    @field_validator("model")
    @classmethod
    def _model_is_known(cls, model: str | OwnModel) -> str | OwnModel:
        if isinstance(model, str) and model not in backbones.BACKBONES:
            raise ValueError(f"must be one of {', '.join(backbones.BACKBONES)}, or a mapping with name and uri")
        return model

    @field_validator("preprocess")
    @classmethod
    def _transforms_follow_one_another(cls, preprocess: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        if preprocess is not None:
            declared.check(preprocess)
        return preprocess

    @field_validator("label", mode="before")
    @classmethod
    def _a_column_is_named_in_the_source(cls, label: Any) -> Any:
        if isinstance(label, dict):
            raise ValueError("must be a text; a column is named inside source, as label: {column: …}")
        return label

    @field_validator("engine")
    @classmethod
    def _the_engine_can_run_the_model(cls, engine: str, info: ValidationInfo) -> str:
        model = info.data.get("model")
        if isinstance(model, OwnModel) and engine not in model.engines():
            raise ValueError(f"runs no model of format {model.format}; leave it out, or say {model.engines()[0]}")
        return engine

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

    def label_of(self, uri: str, path: str | None = None) -> str | None:
        """The label that the dataset's rule finds in the object's URI; None when it finds none.

        path: the URI as folders and a name (Source.path_of), where it is not that already.

        >>> Dataset(name="d", source="s3://b/").label_of("s3://b/2026-11-01/pear/17.jpg")
        'pear'
        >>> Dataset(name="d", source="s3://b/", label=r"/([a-z]+)_[0-9]+[.]").label_of("s3://b/fig_3.png")
        'fig'
        """
        if self.label == "none":
            return None
        if self.label == "parent":
            parts = (path or uri).partition("://")[2].split("/")
            return parts[-2] if len(parts) > 2 else None
        match = re.search(self.label, uri)
        return match.group(1) if match else None


def _check_cron(schedule: str) -> None:
    """Raise ValueError when Airflow would refuse the expression, or find no day for it: by the library that it uses."""
    from croniter import croniter  # when a schedule is set

    start = dt.datetime(2026, 1, 1)
    try:
        croniter(schedule, start).get_next(dt.datetime)
        croniter(schedule, start).get_prev(dt.datetime)
    except Exception as error:  # it raises more than its own errors
        raise ValueError(f"is not a cron expression: {error}") from None
