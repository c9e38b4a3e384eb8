"""What a user writes: the fields of a dataset file, each with its bounds.

`imagefeatures.dataset_files` reads the files; `imagefeatures.run_params` may change some fields for one run.

This module is imported whenever Airflow parses the DAG file: pydantic only, nothing heavy.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationError, ValidationInfo, field_validator, model_validator

from imagefeatures import names, schedules
from imagefeatures.learning.declared import Classify
from imagefeatures.limits import Limits
from imagefeatures.models import backbones
from imagefeatures.models.declared import (
    AnyEngine,
    AnyModel,
    check_engine,
    check_model,
    check_models,
    short_form,
    tables_of,
    with_form,
)
from imagefeatures.models.own.declared import OwnModel, ScaleField, check_values, scaled
from imagefeatures.models.serving.declared import ServedEngine, ServedModel
from imagefeatures.preprocessing import declared
from imagefeatures.preprocessing.bands import ChannelsField
from imagefeatures.quality.declared import Alerts
from imagefeatures.sources import AnySource, Folder, patterns
from imagefeatures.sources.located import Located
from imagefeatures.strict import StrictModel
from imagefeatures.wording import only_sentence

NAME = names.DATASET_NAME
RESERVED_NAMES = set(names.SHARED)  # the service's own tables in the same namespace
FIRST_DAY, LAST_DAY = dt.date(1970, 1, 1), dt.date(2199, 12, 31)  # beyond them the calendars of Airflow overflow


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
    channels: ChannelsField = Field(
        None, description="Bands taken as they are stored: their number, or {count, dtype, axes}; null: RGB"
    )
    scale: ScaleField = Field(
        None, exclude=True, description="Short form of the model's own normalize: how stored values are scaled"
    )
    model: AnyModel = Field(backbones.DEFAULT, description="A model by its name; or a mapping, for a model from a file")
    models: tuple[AnyModel, ...] | None = Field(
        None, min_length=1, description="Several models in one run, in place of model"
    )
    engine: AnyEngine = Field(
        "openvino", description="What computes the model: by its name; or a mapping, for a model server"
    )
    preprocess: Annotated[
        Annotated[tuple[declared.Declared, ...] | None, Tag("(list)")]
        | Annotated[declared.PreprocessorConfig, Tag("(file)")],
        Discriminator(lambda given: "(file)" if declared.is_file(given) else "(list)"),
    ] = Field(None, description="The transforms of each picture, in their order; null: stretched to the model's input")
    sample: float = Field(1.0, gt=0, le=1, description="Share of the keys, chosen by their hash")
    limits: Limits = Limits()
    duplicates: Literal["keep", "reject"] = "keep"
    keep_rejected: bool = Field(False, description="Keep rejected bytes in the lake, for a person to look at")
    pixels: Literal["none", "keep"] = Field(
        "none", description="Publish the model's input as features.<dataset>_pixels"
    )
    features: Literal["keep", "none"] = Field("keep", description="Compute vectors; none: publish pixels alone")
    reuse: bool = Field(True, description="Take vectors from the table for images that it already has")
    on_empty: Literal["fail", "skip", "publish"] = "fail"
    classify: Classify | None = Field(None, description="Fit a classifier to the vectors after each run; null: none")
    alerts: Alerts | None = Field(None, description="From which values on a published partition is marked; null: none")

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"{name!r} is the service's own table; choose another name")
        if names.is_pixels_table(name):
            raise ValueError(f"a table of pixels has a name that ends in {names.PIXELS_SUFFIX}; choose another name")
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
    def _the_model_takes_the_values(self) -> Self:
        if self.models is not None and self.scale is not None:
            raise ValueError("scale: is of one model; write normalize in each of models in its place")
        if self.channels is not None and isinstance(self.engine, ServedEngine):
            raise ValueError("channels: a model server takes RGB; leave one of them out")
        for index, model in enumerate(self.every_model if self.features == "keep" else ()):
            check_values(model, self.channels, self.scale, ("models", str(index)) if self.models else ("model",))
        self.limits.check_formats(self.channels is not None)
        return self

    @model_validator(mode="after")
    def _patterns_are_the_sources(self) -> Self:
        given = {name: tuple(value) for name in ("pattern", "exclude") if (value := getattr(self, name)) is not None}
        if given:
            # The model is frozen, so only object's own __setattr__ can set a field. pydantic ignores a new instance.
            object.__setattr__(self, "source", self.source.model_copy(update=given))
        for name in (*given, "scale"):  # which is the model's now
            object.__setattr__(self, name, None)
        return self

    @model_validator(mode="before")
    @classmethod
    def _the_model_gets_its_form(cls, given: Any) -> Any:
        return with_form(given)

    @field_validator("model", mode="before")
    @classmethod
    def _scale_is_its_normalize(cls, model: Any, info: ValidationInfo) -> Any:
        return scaled(model, info.data.get("scale"))

    @field_validator("model", mode="before")
    @classmethod
    def _a_name_alone_is_the_short_form(cls, model: Any) -> Any:
        return short_form(model)

    @field_validator("models", mode="before")
    @classmethod
    def _so_it_is_in_the_list(cls, models: Any) -> Any:
        if isinstance(models, str | dict):
            raise ValueError("must be a list of models; for one alone write model")
        return [short_form(model) for model in models] if isinstance(models, list | tuple) else models

    @field_validator("model")
    @classmethod
    def _model_is_known(cls, model: str | OwnModel | ServedModel) -> str | OwnModel | ServedModel:
        check_model(model)
        return model

    @field_validator("models")
    @classmethod
    def _models_are_known_and_each_has_a_table(
        cls, models: tuple[str | OwnModel | ServedModel, ...] | None, info: ValidationInfo
    ) -> tuple[str | OwnModel | ServedModel, ...] | None:
        if models is not None:
            check_models(str(info.data.get("name")), models)
        return models

    @model_validator(mode="after")
    def _the_first_of_the_models_is_the_model(self) -> Self:
        if self.models is None:
            return self
        if "model" in self.model_fields_set and self.model != self.models[0]:
            raise ValueError("model: is set beside models; remove it, and name it first in models")
        object.__setattr__(self, "model", self.models[0])  # as above
        return self

    @model_validator(mode="after")
    def _something_is_published(self) -> Self:
        if self.features == "keep":
            return self
        if self.pixels == "none":
            raise ValueError("features: none publishes nothing; say pixels: keep too, or leave it out")
        for field in ("models", "classify"):
            if getattr(self, field) is not None:
                raise ValueError(f"{field}: needs vectors, and features: none makes none; remove one of them")
        if not isinstance(self.model, str) and self.preprocess is None:
            raise ValueError("model: says no size where features is none; write preprocess in its place")
        return self

    @property
    def every_model(self) -> tuple[str | OwnModel | ServedModel, ...]:
        """All models, each by its name or with the fields of its file; the first is `model`."""
        return self.models or (self.model,)

    @property
    def vector_tables(self) -> tuple[str, ...]:
        """The table of each of `every_model`: the dataset's own for the first, one with the model's name for others.

        None where the dataset has pixels alone.
        """
        return tables_of(self.name, self.every_model) if self.features == "keep" else ()

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that a run fills besides the shared ones: those of the models, and that of the pixels.

        >>> Dataset(name="fruit", source="s3://b/", models=["mobilenet_v2", "resnet50"], pixels="keep").tables
        ('fruit', 'fruit__resnet50', 'fruit_pixels')
        """
        return (*self.vector_tables, *((names.pixels_table(self.name),) if self.pixels == "keep" else ()))

    @field_validator("preprocess")
    @classmethod
    def _transforms_follow_one_another(cls, preprocess: Any, info: ValidationInfo) -> Any:
        channels = info.data.get("channels")
        if isinstance(preprocess, tuple):
            declared.check(preprocess, channels)
        elif preprocess is not None and channels is not None:
            raise ValueError("preprocessor_config: is for RGB, and channels takes the bands as they are")
        return preprocess

    @field_validator("label", mode="before")
    @classmethod
    def _a_column_is_named_in_the_source(cls, label: Any) -> Any:
        if isinstance(label, dict):
            raise ValueError("must be a text; a column is named inside source, as label: {column: …}")
        return label

    @field_validator("engine")
    @classmethod
    def _the_engine_can_run_the_model(cls, engine: str | ServedEngine, info: ValidationInfo) -> str | ServedEngine:
        check_engine(engine, list(info.data.get("models") or (info.data.get("model"),)))
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
        if schedule is not None:
            schedules.check(schedule)
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
