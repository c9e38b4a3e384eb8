"""A dataset for one folder, without a dataset file and without a partition for each day.

Its name is made from the folder's name. Its labels are the names of subfolders, if there are any. No share of
rejected files stops its run.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from pathlib import Path

import yaml
from pydantic import ValidationError

from imagefeatures import layout, names, storage
from imagefeatures.dataset_files import find_dataset
from imagefeatures.datasets import NAME, RESERVED_NAMES, Dataset
from imagefeatures.errors import DatasetError, NoInput, ParamsError, SettingsError
from imagefeatures.settings import Settings
from imagefeatures.sources import Folder, PassedOver
from imagefeatures.wording import one_line

PARTITION = names.WHOLE_SOURCE
"""The only partition of such a dataset. Each run replaces its rows."""

LONGEST_NAME = 56
"""The longest name made from a folder's name, in characters: there is room for _ and six digits after it."""


def dataset_of(path: str, settings: Settings, name: str | None = None) -> Dataset:
    """The dataset of a folder. path: may be relative, or begin with ~. name: in place of one made from the folder's.

    Raises ParamsError when the path is not a folder or cannot be a source, NoInput when the folder has no file.
    """
    folder = _folder(path, settings)
    source = f"file://{folder}/"
    labels = _label_rule(folder)
    try:
        dataset = Dataset.model_validate(
            {"name": name or name_of(folder.name), "source": source, "label": labels, "limits": {"max_rejected": 1}}
        )
    except ValidationError as error:
        raise ParamsError(f"{folder}: cannot be a dataset: {one_line(error)}") from None
    if _reserve(dataset, settings):
        return dataset
    if name:
        raise ParamsError(f"--name: {name} is another dataset already; choose another name")
    digest = hashlib.sha256(source.encode()).hexdigest()
    dataset = dataset.model_copy(update={"name": f"{dataset.name}_{digest[:6]}"})
    if not _reserve(dataset, settings):
        raise ParamsError(f"{folder}: {dataset.name} is another dataset already; choose a name with --name")
    return dataset


def name_of(folder: str) -> str:
    """A valid dataset name that is as close to the folder's name as possible.

    >>> [name_of(folder) for folder in ("My Photos (2)", "Été à Nîmes", "2024-05", "写真", "Quarantine")]
    ['my_photos_2', 'ete_a_nimes', 'photos_2024_05', 'photos', 'photos_quarantine']
    """
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().lower()
    name = "_".join(re.findall("[a-z0-9]+", plain))[:LONGEST_NAME].rstrip("_")
    if re.fullmatch(NAME, name) and name not in RESERVED_NAMES:
        return name
    return f"photos_{name}"[:LONGEST_NAME].rstrip("_")


def dataset_file(dataset: Dataset) -> str:
    """The dataset as a file for Airflow, without a schedule: YAML, to be saved as `<name>.yaml`.

    A run by schedule would publish the same photos again each day, as that day's partition.
    """
    content = {
        "name": dataset.name,
        "source": str(dataset.source),
        "label": dataset.label,
        "schedule": None,
        "limits": {"max_rejected": dataset.limits.max_rejected},
    }
    head = (
        "# Each run takes the whole folder and replaces its rows; photos that the table has are not computed again.\n"
        "# To have it done every day: a folder for each day, a source that ends in {partition}/, schedule: 0 0 * * *.\n"
    )
    return head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)


def datasets_folder(settings: Settings) -> Path | None:
    """The folder of dataset files; None where the package is installed and its variable is not set."""
    try:
        return settings.datasets
    except SettingsError:
        return None


def _folder(path: str, settings: Settings) -> Path:
    """The folder's absolute path, with its symbolic links unresolved. Raises ParamsError."""
    try:
        folder = Path(os.path.normpath(Path(path).expanduser().absolute()))
        exists, is_folder = bool(path) and folder.exists(), folder.is_dir()
    except (OSError, RuntimeError) as error:  # the name is too long, no permission, ~ of an unknown user
        raise ParamsError(f"{path!r}: {getattr(error, 'strerror', None) or error}") from None
    if not exists:
        raise ParamsError(f"there is no folder {path!r}")
    if not is_folder:
        raise ParamsError(f"{folder} is a file, not a folder")
    if re.search("[{}]", str(folder)):
        raise ParamsError(f"{folder}: a source cannot have braces in its path; rename the folder, or make a link to it")
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise ParamsError(f"{str(folder)!r} is not UTF-8; rename the folder, or make a link to it") from None
    lake = Path(settings.lake.removeprefix("file://"))
    if settings.lake.startswith("file://") and lake.resolve().is_relative_to(folder.resolve()):
        raise ParamsError(f"{folder} holds the lake, {lake}; choose a folder of photos alone")
    return folder


def _label_rule(folder: Path) -> str:
    """`parent` when a file is in a subfolder, else `none`. Raises NoInput when there is no file at all."""
    uri, empty, passed = f"file://{folder}/", True, PassedOver()
    try:
        source = Folder(uri=uri)
    except ValidationError as error:
        raise ParamsError(f"{folder}: cannot be a dataset: {one_line(error)}") from None
    for item in source.items(passed):
        if not item.rejected and "/" in item.uri.removeprefix(uri):
            return "parent"
        empty = False
    if empty:
        raise NoInput(f"NO_INPUT: there is no file in {folder}/" + (f"; {passed}" if passed.counts else ""))
    return "none"


def _reserve(dataset: Dataset, settings: Settings) -> bool:
    """Reserve the dataset's name for its source. Returns False when the name belongs to another source.

    The source is written down in the lake before the first run, since a table does not tell it: objects of a subfolder
    are objects of the folder too.
    """
    files = datasets_folder(settings)
    if files and any((files / f"{dataset.name}{suffix}").exists() for suffix in (".yaml", ".yml")):
        try:
            return str(find_dataset(files, dataset.name).source) == str(dataset.source)
        except DatasetError:  # malformed, but the name is in use
            return False
    reservation = layout.folder_reservation(settings.lake, dataset.name)
    try:
        return storage.read(reservation).decode() == str(dataset.source)
    except storage.ObjectMissing:
        pass
    if _is_published(dataset.name, settings):  # by a dataset file that is gone
        return False
    storage.write(reservation, str(dataset.source).encode(), only_if_absent=True)
    return storage.read(reservation).decode() == str(dataset.source)


def _is_published(name: str, settings: Settings) -> bool:
    from imagefeatures import read

    return bool(read.runs(settings, name))
