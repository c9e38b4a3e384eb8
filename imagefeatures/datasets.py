"""What a user writes: the dataset file, and the parameters of one run.

Both are pydantic models. Every bound is defined once, in this module: the DAG builds its trigger form from
`RunParams`, `plan` validates with it, and the jobs receive the validated values.

This module is imported whenever Airflow parses the DAG file: pydantic and YAML only, nothing heavy.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from imagefeatures import names
from imagefeatures.errors import DatasetError, ParamsError
from imagefeatures.limits import Limits
from imagefeatures.models import backbones
from imagefeatures.sources import AnySource, Folder
from imagefeatures.strict import StrictModel

NAME = r"^[a-z][a-z0-9_]{0,62}$"
RESERVED_NAMES = {names.QUARANTINE, names.RUNS}  # the service's own tables in the same namespace
PARTITION = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"  # one path segment, without a character special to stores or shells


class Dataset(StrictModel):
    """One dataset file: `datasets/fruit.yaml` is DAG `features_fruit` and table `features.fruit`."""

    name: str = Field(pattern=NAME, description="Name of the table and of the DAG")
    source: AnySource = Field(description="A folder's URI, s3://… or file:///… or relative to this file; or a mapping")
    pattern: list[str] | None = Field(
        None, min_length=1, exclude=True, description="Short form of the source's own pattern: shell patterns for keys"
    )
    label: str = Field("parent", description="parent, none, or a regular expression with one group")
    schedule: str | None = Field(None, description="A midnight cron expression; null = manual and backfill only")
    start_date: dt.date = Field(dt.date(2020, 1, 1), description="Midnight from which scheduled runs begin")
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

    @field_validator("pattern", mode="before")
    @classmethod
    def _one_pattern_is_a_list_too(cls, pattern: Any) -> Any:
        if pattern is None:
            raise ValueError("must be a list of texts")
        return [pattern] if isinstance(pattern, str) else pattern

    @field_validator("pattern")
    @classmethod
    def _pattern_stands_once(cls, pattern: list[str] | None, info: ValidationInfo) -> list[str] | None:
        if pattern and "pattern" in getattr(info.data.get("source"), "model_fields_set", ()):
            raise ValueError("is set in source too; remove one of them")
        return pattern

    @model_validator(mode="after")
    def _pattern_is_the_sources(self) -> Self:
        if self.pattern is None:
            return self
        # The model is frozen, so only object's own __setattr__ can set a field. pydantic ignores a new instance.
        object.__setattr__(self, "source", self.source.model_copy(update={"pattern": tuple(self.pattern)}))
        object.__setattr__(self, "pattern", None)
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
        except re.error as error:
            raise ValueError(f"neither parent, none nor a regular expression: {error}") from None
        if groups != 1:
            raise ValueError(f"the regular expression needs exactly one group, it has {groups}")
        return label

    @field_validator("schedule")
    @classmethod
    def _schedule_is_at_midnight(cls, schedule: str | None) -> str | None:
        # A partition is a day: backfill bounds compare as instants, and any later hour would drop the last day.
        if schedule is not None and not re.fullmatch(r"0 0( [0-9*/,A-Za-z-]+){3}", schedule):
            raise ValueError('must be a cron expression at midnight, such as "0 0 * * *"')
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
        pattern=PARTITION,
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


def load_dataset(path: Path) -> Dataset:
    """Read one dataset file. Raises DatasetError naming the file and the field."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
        if not isinstance(content, dict):
            raise DatasetError(f"{path.name}: expected a mapping of fields, found {type(content).__name__}")
        dataset = Dataset.model_validate(content)
    except ValidationError as error:
        raise DatasetError(f"{path.name}: {one_line(error)}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise DatasetError(f"{path.name}: not YAML: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise DatasetError(f"{path.name}: cannot be read: {error.strerror}") from None
    if dataset.name != path.stem:
        raise DatasetError(f"{path.name}: name: must be the file's own name, {path.stem!r} (got {dataset.name!r})")
    return dataset.model_copy(update={"source": dataset.source.beside(path.parent)})


def load_datasets(folder: Path) -> tuple[list[Dataset], list[DatasetError]]:
    """Every dataset file of a folder, in order of name: the valid datasets, and the errors of the other files."""
    datasets, errors = [], []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            if path.suffix == ".yml" and path.with_suffix(".yaml").is_file():
                raise DatasetError(f"{path.name}: name: there is a {path.stem}.yaml too; remove one of them")
            datasets.append(load_dataset(path))
        except DatasetError as error:
            errors.append(error)
    return datasets, errors


def find_dataset(folder: Path, name: str) -> Dataset:
    """The dataset of that name. Raises DatasetError when there is none."""
    for suffix in (".yaml", ".yml"):
        if re.fullmatch(NAME, name) and (path := folder / f"{name}{suffix}").is_file():
            return load_dataset(path)
    known = ", ".join(sorted(p.stem for p in folder.glob("*.y*ml"))) or "none"
    raise DatasetError(f"no dataset file for {name!r} in {folder} (known: {known})")


class _Loader(yaml.SafeLoader):
    """YAML that leaves dates as text: pydantic parses them, and names the field of a date that does not exist."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - never changed
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def one_line(error: ValidationError) -> str:
    """A pydantic error as `field: what is wrong (got …)`, several joined by semicolons."""
    return "; ".join(_sentences(error))


def _sentences(error: ValidationError) -> Iterable[str]:
    for part in error.errors(include_url=False):
        field = ".".join(str(step) for step in part["loc"])
        if part["type"] == "extra_forbidden":
            yield f"{field}: unknown field"
        elif part["type"] == "missing":
            yield f"{field}: is required"
        else:
            given = repr(part["input"])
            yield f"{field}: {part['msg']} (got {given[:80]}{'…' if len(given) > 80 else ''})"
