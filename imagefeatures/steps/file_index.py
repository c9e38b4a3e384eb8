"""file_index: which files of a table hold what a run looks for, so that the searches for rows to reuse open no others.

Two kinds of key are kept beside the tables by `index_segments`, eight bytes for each row: hashes of image ids, which
`reuse` looks for, and of URLs, which `unchanged` looks for. A key is of one fingerprint and one augmented copy: a file
is offered for rows that the run can use. No row is found by a key alone: what may match is compared in the rows.

Eight bytes of a hash are a trace of the image, so `forget` deletes all of it, and an index that was made before
something was forgotten is never used.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imagefeatures import layout
from imagefeatures.forget import deny
from imagefeatures.plan import Run
from imagefeatures.steps import reuse, unchanged
from imagefeatures.steps.index_segments import NONE, STORED, File, Index, Spread, Wanted
from imagefeatures.steps.reuse import KnownFile

FEW = 8
"""So many files are opened without an index: that is as quick."""


@dataclass(frozen=True)
class Kind:
    """What rows are looked for by.

    name: of its folder. column: that rows are found by. further: other columns that `found` reads. found: which rows of
    a table can be found. hashes: of texts of the column, uint64 [n]. sought: (text, shard) of what a shard looks for.
    """

    name: str
    column: str
    further: tuple[str, ...]
    found: Callable[[pa.Table], pa.ChunkedArray]
    hashes: Callable[[list[str]], np.ndarray]
    sought: Callable[[Run, int], Iterator[tuple[str, int]]]


def of_ids(image_ids: list[str]) -> np.ndarray:
    """The first eight bytes of each SHA-256 as a number, uint64 [n].

    >>> [f"{number:x}" for number in of_ids(["0123456789abcdef" * 4])]
    ['123456789abcdef']
    """
    return np.frombuffer(bytes.fromhex("".join(image_id[:16] for image_id in image_ids)), STORED).astype("u8")


def of_texts(texts: list[str]) -> np.ndarray:
    """The first eight bytes of each text's SHA-256 as a number, uint64 [n]."""
    return of_ids([hashlib.sha256(text.encode()).hexdigest() for text in texts])


def _with_id(table: pa.Table) -> pa.ChunkedArray:
    return pc.match_substring_regex(table["image_id"], "^[0-9a-f]{64}$")


def _with_version(table: pa.Table) -> pa.ChunkedArray:
    is_url = pc.match_substring_regex(table["uri"], "(?i)^https?://")
    return pc.and_(pc.is_valid(table["etag"]), is_url)


IMAGES = Kind("images", "image_id", (), _with_id, of_ids, reuse.identities)
URLS = Kind("urls", "uri", ("etag",), _with_version, of_texts, unchanged.urls)
KINDS = (IMAGES, URLS)


def candidates(
    run: Run, files: Sequence[KnownFile], todo: Sequence[int], kind: Kind, spread: Spread
) -> list[tuple[int, KnownFile]]:
    """The files that may hold what these shards look for, each with its number. files: `reuse.known_files`.

    Makes the index whole for the next search. Raises StoreError or StoreRefused, AuditFailed where what the shards look
    for has changed.
    """
    numbered = list(enumerate(files))
    if len(files) <= FEW or deny.is_pending(run.lake):
        return numbered
    sought = np.unique(np.concatenate([NONE, *spread(partial(_of_shard, run, kind), todo)]))
    by_table: dict[str, dict[File, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, file in numbered:
        by_table[file.table or run.tables[0]][_file(run.lake, file)].append(number)
    offered: list[int] = []
    for table, of_table in by_table.items():
        found = (reuse.output_of(run, files[number]) for numbers in of_table.values() for number in numbers)
        outputs = {output.copy_number: output for output in found}.values()
        wanted = Wanted.of([[sought ^ made(one, of.copy_number) for one in of.known_fingerprints] for of in outputs])
        for holding in index(run.lake, table, kind).holding(wanted, set(of_table), spread):
            offered += of_table[holding]
    return [(number, files[number]) for number in sorted(offered)]


def index(lake: str, table: str, kind: Kind) -> Index:
    """The index of a table."""
    columns = (kind.column, *kind.further, "copy", "fingerprint")
    return Index(lake, layout.known(lake, kind.name, table), columns, partial(keys, kind))


def keys(kind: Kind, table: pa.Table) -> np.ndarray:
    """The keys of those rows that can be found, uint64 [n]. table: with the columns of the kind, and of `made`.

    Raises pa.ArrowException or KeyError where another program has written columns that are none of ours.
    """
    types = dict.fromkeys((kind.column, *kind.further, "fingerprint"), pa.string()) | {"copy": pa.int32()}
    table = pa.table({name: table[name].cast(types[name]) for name in types if name in table.column_names})
    rows = table.filter(pc.and_(kind.found(table), pc.is_valid(table["fingerprint"])))  # a null counts as false
    found = kind.hashes(rows[kind.column].to_pylist())
    copies = rows["copy"].fill_null(0).to_pylist() if "copy" in rows.column_names else [0] * rows.num_rows
    ways = list(zip(rows["fingerprint"].to_pylist(), copies, strict=True))
    of_way = {way: made(*way) for way in set(ways)}
    mixed: np.ndarray = found ^ np.array([of_way[way] for way in ways], "u8")
    return mixed


def made(fingerprint: str, copy: int) -> np.uint64:
    """What keys of a fingerprint and a copy have in common: equal hashes differ where these do."""
    return np.uint64(of_texts([f"{fingerprint} {copy}"])[0])


def _of_shard(run: Run, kind: Kind, shard: int) -> np.ndarray:
    return kind.hashes([text for text, _ in kind.sought(run, shard)])


def _file(lake: str, file: KnownFile) -> File:
    return File(file.uri.removeprefix(f"{lake}/"), file.size)  # a lake that is moved keeps its index
