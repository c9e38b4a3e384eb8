"""The options of `imagefeatures.images`, checked: which source is read, by which rules, and what is left out."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from imagefeatures.dataset_files import find_dataset, load_dataset
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError
from imagefeatures.names import IMAGES_FORMAT
from imagefeatures.reasons import printable
from imagefeatures.settings import Settings
from imagefeatures.sources import Folder, Source
from imagefeatures.wording import one_line

NAMES = (
    "path", "paths", "dataset", "source", "partition", "raw", "metadataOnly", "recursive", "recursiveFileLookup",
    "pathGlobFilter", "dropInvalid", "dropImageFailures", "numPartitions", "sampleRatio", "seed", "label", "limits",
)  # fmt: skip

ONE_OF = (
    ("path", "paths", "dataset", "source"),
    ("recursive", "recursiveFileLookup"),
    ("dropInvalid", "dropImageFailures"),
)
"""Options that say the same: at most one of each group."""


@dataclass(frozen=True)
class Options:
    """What the options mean.

    datasets: one for each path. partition: of the source; None where it has none. label: whether a rule for labels was
    asked for. globs: shell patterns of names; empty for every name. seed: None for the dataset's own sample.
    """

    datasets: tuple[Dataset, ...]
    partition: str | None
    raw: bool
    metadata_only: bool
    recursive: bool
    globs: tuple[str, ...]
    drop_invalid: bool
    num_partitions: int | None
    seed: int | None
    label: bool

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> Options:
        """given: the options as Spark has them; their names count in any case. Raises ParamsError."""
        options = _known(given)
        raw = _truth(options, "raw") or False
        recursive = _truth(options, "recursive", "recursiveFileLookup")
        datasets = tuple(_datasets(options))
        if recursive is False and not all(isinstance(dataset.source, Folder) for dataset in datasets):
            raise _wrong("recursive", "is for a folder")
        return cls(
            datasets=datasets,
            partition=options.get("partition"),
            raw=raw,
            metadata_only=_truth(options, "metadataOnly") or False,
            recursive=(not raw or not {"path", "paths"} & options.keys()) if recursive is None else recursive,
            globs=_globs(options["pathGlobFilter"]) if "pathGlobFilter" in options else (),
            drop_invalid=_truth(options, "dropInvalid", "dropImageFailures") or False,
            num_partitions=_number(options, "numPartitions", 1),
            seed=_number(options, "seed", None),
            label="label" in options,
        )

    def sources(self) -> Iterator[Source]:
        """The source of each dataset for the partition. Raises ParamsError where there must be a partition."""
        for dataset in self.datasets:
            if dataset.source.by_partition and self.partition is None:
                raise _wrong("partition", f"is required: {dataset.source} has one")
            yield dataset.source.for_partition(self.partition or "")

    @property
    def dataset(self) -> Dataset:
        """The rules, which are the same for every path: limits, label and sample."""
        return self.datasets[0]


def _known(given: Mapping[str, str]) -> dict[str, str]:
    names = {name.lower(): name for name in NAMES}
    options = {}
    for name, value in given.items():
        if name.lower() not in names:
            near = difflib.get_close_matches(name.lower(), names, 1)
            raise _wrong(printable(name), "is no option" + (f"; did you mean {names[near[0]]}?" if near else ""))
        options[names[name.lower()]] = value
    for group in ONE_OF:
        if len(both := [name for name in group if name in options]) > 1:
            raise _wrong(both[1], f"says the same as {both[0]}; leave one of them out")
    if not any(name in options for name in ONE_OF[0]):
        raise _wrong("path", 'is required: load("file:///…"), or the option dataset or source')
    return options


def _datasets(options: Mapping[str, str]) -> Iterator[Dataset]:
    """The dataset of each path, or of the option dataset or source, with what the other options change."""
    changes: dict[str, Any] = {}
    if "label" in options:
        changes["label"] = options["label"]
    if "sampleRatio" in options:
        changes["sample"] = options["sampleRatio"]
    if "limits" in options:
        changes["limits"] = _mapping("limits", options["limits"])
    fields: dict[str, Any] = {"name": "images", "label": "none"}
    if "dataset" in options:
        found = _dataset_file(options["dataset"])
        # pattern and exclude are part of the source by now.
        set_there = found.model_fields_set - {"pattern", "exclude"}
        yield _valid("dataset", {name: getattr(found, name) for name in set_there} | changes)
    elif "source" in options:
        yield _valid("source", fields | {"source": _mapping("source", options["source"])} | changes)
    else:
        for path in _paths(options):
            yield _valid("path", fields | {"source": _uri(path)} | changes)


def _dataset_file(value: str) -> Dataset:
    """value: the path of a dataset file, or the name of a dataset in the settings' folder."""
    if value.endswith((".yaml", ".yml")):
        return load_dataset(Path(value.removeprefix("file://")))
    return find_dataset(Settings.from_env().datasets, value)


def _valid(option: str, fields: dict[str, Any]) -> Dataset:
    try:
        dataset = Dataset.model_validate(fields)
    except ValidationError as error:
        line = one_line(error, Dataset).removeprefix("source: ")
        raise _wrong(option, re.sub(r"^sample: ", "sampleRatio: ", line)) from None
    return dataset.model_copy(update={"source": dataset.source.beside(Path.cwd())})


def _paths(options: Mapping[str, str]) -> list[str]:
    if "path" in options:
        return [options["path"]]
    paths = json.loads(options["paths"])  # by Spark, from a list in load()
    if not paths:
        raise _wrong("path", "is required: the list is empty")
    return [str(path) for path in paths]


def _uri(path: str) -> str:
    """A path as Spark takes it: Hadoop writes file:/data/ with one slash."""
    return re.sub("^file:/(?!/)", "file:///", path)


def _mapping(option: str, text: str) -> Any:
    """The value of an option in YAML or JSON: a mapping, or for a source its URI."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise _wrong(option, "is neither JSON nor YAML") from None


def _globs(pattern: str) -> tuple[str, ...]:
    """A pattern for names, with Hadoop's {a,b} written out.

    >>> _globs("*.{jpg,png}")
    ('*.jpg', '*.png')
    """
    if "/" in pattern or not pattern:
        raise _wrong("pathGlobFilter", "is a pattern for names, without a slash")
    if not (choice := re.search(r"\{([^{}]*)\}", pattern)):
        return (pattern,)
    before, after = pattern[: choice.start()], pattern[choice.end() :]
    return tuple(glob for part in choice[1].split(",") for glob in _globs(before + part + after))


def _truth(options: Mapping[str, str], *names: str) -> bool | None:
    for name in names:
        if name in options:
            if options[name].lower() not in ("true", "false"):
                raise _wrong(name, f"must be true or false (got {printable(options[name])!r})")
            return options[name].lower() == "true"
    return None


def _number(options: Mapping[str, str], name: str, least: int | None) -> int | None:
    if name not in options:
        return None
    if not re.fullmatch(r"-?\d{1,18}", options[name]) or (least is not None and int(options[name]) < least):
        what = f"a whole number from {least}" if least is not None else "a whole number"
        raise _wrong(name, f"must be {what} (got {printable(options[name])!r})")
    return int(options[name])


def _wrong(option: str, what: str) -> ParamsError:
    return ParamsError(f"{IMAGES_FORMAT}: {option}: {what}")
