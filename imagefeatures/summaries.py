"""Files of which a run has one for each shard, and the summary that names them: written last, once, and never trusted.

A file's name holds its own digest, so no attempt writes other bytes to a name that was used before. The summary has the
number of rows and the SHA-256 of each file, and its own SHA-256. Whoever reads one of the files begins at the summary:
files of an attempt that lost the race are never read, and neither is a file that has changed.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import sealed, storage
from imagefeatures.shards import StagedFile, read_staged

DIGEST_CHARACTERS = 16
"""So much of a file's SHA-256 is in its name."""

UriOf = Callable[[int, str], str]
"""The URI of a shard's file, by the number of the shard and the characters of the digest: a method of Layout."""


@dataclass(frozen=True)
class Summary:
    """facts: whole numbers and texts of the summary's own. files: by shard; a shard may have none."""

    facts: Mapping[str, Any]
    files: Mapping[int, StagedFile] = field(default_factory=dict)

    def read(self, shard: int, schema: pa.Schema) -> pa.Table:
        """The rows of a shard's file; none if it has none. Raises AuditFailed when it is not what was written."""
        return read_staged(self.files[shard]) if shard in self.files else schema.empty_table()


def write_shard_file(uri_of: UriOf, shard: int, table: pa.Table) -> StagedFile:
    """Write a shard's file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    data = sink.getvalue()
    sha256 = hashlib.sha256(data).hexdigest()
    uri = uri_of(shard, sha256[:DIGEST_CHARACTERS])
    storage.write(uri, data)
    return StagedFile(uri, table.num_rows, len(data), sha256)


def write_summary(uri: str, summary: Summary) -> None:
    """Write a summary, once all its files are written. An existing one is kept: the first attempt counts."""
    files = {str(shard): [file.rows, file.size, file.sha256] for shard, file in summary.files.items()}
    storage.write(uri, sealed.encode({"facts": dict(summary.facts), "files": files}), only_if_absent=True)


def read_summary(uri: str, uri_of: UriOf) -> Summary:
    """Read a summary. Raises storage.ObjectMissing before it is written, AuditFailed when it has changed since."""
    content = sealed.decode(uri, storage.read(uri))
    files = {
        int(shard): StagedFile(uri_of(int(shard), sha256[:DIGEST_CHARACTERS]), rows, size, sha256)
        for shard, (rows, size, sha256) in content["files"].items()
    }
    return Summary(content["facts"], files)


@dataclass(frozen=True)
class Search:
    """A search over all shards of a run, whose findings about a shard are read by its worker.

    The first search that ends counts. summary: URI of the summary. uri_of: the URI of a shard's findings. schema: of
    the findings, a tuple for each row.
    """

    summary: str
    uri_of: UriOf
    schema: pa.Schema

    def has_ended(self) -> bool:
        return storage.exists(self.summary)

    def write(self, shard: int, findings: Iterable[tuple[Any, ...]]) -> tuple[int, StagedFile]:
        """Write what was found about a shard. Returns the shard and the file, for `end`."""
        rows = [dict(zip(self.schema.names, finding, strict=True)) for finding in sorted(findings)]
        return shard, write_shard_file(self.uri_of, shard, pa.Table.from_pylist(rows, schema=self.schema))

    def end(self, files: Iterable[tuple[int, StagedFile]]) -> None:
        """Write down which files count."""
        write_summary(self.summary, Summary({}, dict(files)))

    def ended(self) -> Summary:
        """The files that count. Raises storage.ObjectMissing before a search has ended, or AuditFailed."""
        return read_summary(self.summary, self.uri_of)

    def read(self, shard: int) -> list[tuple[Any, ...]]:
        """What was found about a shard. Raises what `ended` raises."""
        found = self.ended().read(shard, self.schema)
        return list(zip(*found.to_pydict().values(), strict=True))
