"""The dataset files of a folder: a wall around each, so that none can harm another.

Whatever a file holds, the only thing that reading it can raise is a DatasetError of that file. A file is small, its
YAML is flat, and an alias cannot make little text into much work: all three have limits here.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from imagefeatures import names
from imagefeatures.datasets import Dataset
from imagefeatures.errors import DatasetError
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.preprocessing.declared import PreprocessorConfig
from imagefeatures.reasons import printable
from imagefeatures.strict import unusable_texts
from imagefeatures.wording import one_line

MOST_BYTES = 64 * 2**10
"""The largest dataset file."""

MOST_EVENTS = 2_000
"""The most keys, values, and ends of mappings and lists: PyYAML takes a second for some 15,000 of them, and Airflow
parses the folder for each file of DAGs. The fields of a dataset need some hundred."""

DEEPEST = 8
"""The most mappings and lists inside each other. The fields of a dataset need three."""

MOST_ALIASES = 10
"""The most uses of YAML anchors. Aliases of aliases would multiply what they stand for, tenfold a level."""


def load_dataset(path: Path) -> Dataset:
    """Read one dataset file. Raises DatasetError naming the file and the field, and nothing else."""
    name = printable(path.name)
    try:
        return _load(path)
    except ValidationError as error:
        raise DatasetError(f"{name}: {one_line(error, Dataset)}") from None
    except _Malformed as error:
        raise DatasetError(f"{name}: {error}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise DatasetError(f"{name}: not YAML: {printable(' '.join(str(error).split()))}") from None
    except OSError as error:
        raise DatasetError(f"{name}: cannot be read: {error.strerror}") from None
    except Exception as error:  # also RecursionError and MemoryError: the other files must not suffer from this one
        raise DatasetError(f"{name}: cannot be read: {type(error).__name__}: {printable(error)}") from None


def load_datasets(folder: Path) -> tuple[list[Dataset], list[DatasetError]]:
    """Every dataset file of a folder, in order of name: the valid datasets, and the errors of the other files."""
    datasets, errors = [], []
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            if path.suffix == ".yml" and path.with_suffix(".yaml").is_file():
                name = printable(path.name)
                raise DatasetError(f"{name}: name: there is a {printable(path.stem)}.yaml too; remove one of them")
            datasets.append(_with_its_own_tables(load_dataset(path), folder))
        except DatasetError as error:
            errors.append(error)
    return datasets, errors


def find_dataset(folder: Path, name: str) -> Dataset:
    """The dataset of that name. Raises DatasetError when there is none."""
    for suffix in (".yaml", ".yml"):
        if re.fullmatch(names.DATASET_NAME, name) and (path := folder / f"{name}{suffix}").is_file():
            return _with_its_own_tables(load_dataset(path), folder)
    known = ", ".join(sorted(printable(p.stem) for p in folder.glob("*.y*ml"))) or "none"
    raise DatasetError(f"no dataset file for {name!r} in {folder} (known: {known})")


_UNQUOTED = re.compile(
    r"""\s*(-\s+)*([\w.-]+:\s+)?           # "- ", "pattern: "
    (\[\s*)?(?P<first>[*&@`%]|!(?!!)       # a sign of YAML: an alias, an anchor, a tag
    |\[(?=[^\]"']*\][^\s,\#])            # [ab].jpg
    |\{(?=[^}"']*\}[^\s,\#]))            # {a,b}.jpg
    """,
    re.VERBOSE,
)
"""A line with a pattern that YAML takes for something else."""


def _with_its_own_tables(dataset: Dataset, folder: Path) -> Dataset:
    """The dataset. Raises DatasetError where a further model's table has the name of another dataset of the folder."""
    for table in dataset.vector_tables[1:]:
        if other := next((path for path in folder.glob(f"{table}.y*ml") if path.suffix in (".yaml", ".yml")), None):
            raise DatasetError(
                f"{dataset.name}.yaml: models: the table {names.table_name(table)} is that of {printable(other.name)}; "
                "rename one of the two datasets, or the model"
            )
    return dataset


class _Malformed(Exception):
    """What is wrong with a file's text: `field: …`, or a sentence about all of it."""


def _load(path: Path) -> Dataset:
    content = _parse(_read(path))
    if not isinstance(content, dict):
        raise _Malformed(f"expected a mapping of fields, found {type(content).__name__}")
    for field in unusable_texts(content):
        raise _Malformed(f"{printable(field)}: holds a character that cannot be stored")
    dataset = Dataset.model_validate(content)
    if dataset.name != path.stem:
        raise _Malformed(f"name: must be the file's own name, {path.stem!r} (got {dataset.name!r})")
    beside: dict[str, Any] = {"source": dataset.source.beside(path.parent)}
    models = [model.beside(path.parent) if isinstance(model, OwnModel) else model for model in dataset.every_model]
    beside["model"] = models[0]
    if dataset.models:
        beside["models"] = tuple(models)
    if isinstance(dataset.preprocess, PreprocessorConfig):
        beside["preprocess"] = dataset.preprocess.beside(path.parent)
    return dataset.model_copy(update=beside)


def _read(path: Path) -> str:
    # Without waiting: a pipe in the place of the file would hold up whoever reads the folder.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _Malformed("is not a file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(MOST_BYTES + 1)
    finally:
        os.close(descriptor)  # not by `open`, which keeps the descriptor of a folder
    if len(data) > MOST_BYTES:
        raise _Malformed(f"has more than {MOST_BYTES:,} bytes, the most of a dataset file")
    return data.decode("utf-8")


def _parse(text: str) -> Any:
    """The file's one value. Its shape is judged from YAML's events, before anything is built of it."""
    try:
        return _built(text)
    except yaml.MarkedYAMLError as error:
        lines = text.splitlines()
        for number in [mark.line for mark in (error.context_mark, error.problem_mark) if mark]:
            if number < len(lines) and (sign := _UNQUOTED.match(lines[number])):
                raise _Malformed(
                    f'line {number + 1}: a text with {sign["first"]} at its start must be quoted, as in "*.jpg"'
                ) from None
        raise


def _built(text: str) -> Any:
    inside: list[str | None] = []  # the mappings and lists around an event: their anchors
    aliases = 0
    # As a stream: of a text PyYAML's errors show an excerpt, and the file may be a link to one that is nobody's to see.
    for count, event in enumerate(yaml.parse(io.StringIO(text), _Loader), 1):
        if isinstance(event, yaml.CollectionStartEvent):
            inside.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            inside.pop()
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        line = event.start_mark.line + 1 if event.start_mark else 0
        if count > MOST_EVENTS:
            raise _Malformed(f"line {line}: more than {MOST_EVENTS:,} keys and values, the most of a dataset file")
        if isinstance(event, yaml.AliasEvent) and event.anchor in inside:
            raise _Malformed(f"line {line}: *{event.anchor} stands inside what it repeats")
        if len(inside) > DEEPEST:
            raise _Malformed(f"line {line}: more than {DEEPEST} mappings and lists inside each other")
        if aliases > MOST_ALIASES:
            raise _Malformed(f"line {line}: more than {MOST_ALIASES} YAML aliases")
    return yaml.load(io.StringIO(text), _Loader)  # noqa: S506 - a SafeLoader


class _Loader(yaml.SafeLoader):
    """YAML that takes no key twice. It leaves dates as text: pydantic names the field of a day that does not exist."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - never changed
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    # No set, whose order differs from process to process, and no bytes.
    yaml_constructors = {  # noqa: RUF012 - never changed
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag not in {f"tag:yaml.org,2002:{kind}" for kind in ("set", "omap", "pairs", "binary")}
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set[str]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _Malformed(f"{printable(key.value)}: is there twice (line {key.start_mark.line + 1})")
                seen.add(key.value)
        return super().construct_mapping(node, deep)
