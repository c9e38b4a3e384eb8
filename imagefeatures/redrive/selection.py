"""What a re-drive takes again, and what its partition held when it was planned: a file of the run, with its own digest.

The jobs and register read it there. They need no catalog for it, and all of them see the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from imagefeatures import read, schemas, sealed, storage
from imagefeatures.errors import AuditFailed, StoreRefused
from imagefeatures.layout import Layout


class PublishedFile(NamedTuple):
    """A data file of the partition. size: in bytes."""

    uri: str
    size: int


@dataclass(frozen=True)
class Selection:
    """What is taken again, and what stays.

    replaces: the run that the partition holds. files: all its data files in the dataset's own table; others: in each
    table of a further output. chosen, kept: its rows of
    schemas.QUARANTINE, those that are taken again and the others. inside: URIs of what is published and lies inside one
    of the chosen objects, such as the images of a damaged archive before the damage. sample: the dataset's, for what
    else lies inside one.
    """

    replaces: str
    files: Sequence[PublishedFile]
    chosen: pa.Table
    kept: pa.Table
    inside: Sequence[str] = ()
    sample: float = 1
    others: Mapping[str, Sequence[PublishedFile]] = field(default_factory=dict)


def write(layout: Layout, selection: Selection) -> None:
    """Write the selection down, as a file of the run."""
    content = {
        "replaces": selection.replaces,
        "files": selection.files,
        "chosen": sealed.text_of_table(selection.chosen),
        "kept": sealed.text_of_table(selection.kept),
        "inside": selection.inside,
        "sample": selection.sample,
        "others": dict(selection.others),
    }
    storage.write(layout.redrive, sealed.encode(content))


def selected(layout: Layout, replaces: str | None) -> Selection:
    """The selection of a run. replaces: as its run.json has it. Raises AuditFailed when it is not what was written."""
    uri = layout.redrive
    try:
        content = sealed.decode(uri, storage.read(uri))
        if content["replaces"] == replaces:
            return Selection(
                content["replaces"],
                [PublishedFile(*file) for file in content["files"]],
                sealed.table_of_text(content["chosen"], schemas.QUARANTINE),
                sealed.table_of_text(content["kept"], schemas.QUARANTINE),
                content["inside"],
                content["sample"],
                {  # an earlier version wrote none
                    table: [PublishedFile(*file) for file in files]
                    for table, files in content.get("others", {}).items()
                },
            )
    except storage.ObjectMissing:
        raise AuditFailed(f"{uri}: it was written, and is gone; start a new re-drive") from None
    except (AttributeError, KeyError, TypeError, ValueError, pa.ArrowException):
        pass
    raise AuditFailed(f"{uri}: it is not as plan wrote it; start a new re-drive")


def published_rows(
    file: PublishedFile, columns: Sequence[str], table: pa.Schema = schemas.FEATURES
) -> Iterator[pa.RecordBatch]:
    """The rows of a data file, in these columns of its table; one that the file lacks is null.

    Raises AuditFailed where the file is gone or damaged.
    """
    schema = pa.schema([table.field(name) for name in columns])
    try:
        for _, batch in read.file_batches(*file, columns):
            yield read.with_schema(batch, schema)
    except (storage.ObjectMissing, StoreRefused, pa.ArrowException, OSError) as error:
        raise AuditFailed(
            f"{file.uri}: this file of the published partition cannot be read ({type(error).__name__}); run the whole "
            "partition again"
        ) from None
