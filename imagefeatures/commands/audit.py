"""`imagefeatures audit DATASET`: labels that are probably wrong, and photos that are there twice."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagefeatures import names
from imagefeatures.commands.printing import say
from imagefeatures.errors import ParamsError
from imagefeatures.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from imagefeatures.audits.gallery import Gallery

HELP = "labels of a dataset that are probably wrong, and photos that are there twice"
SHOWN = 10
"""How many rows of each table are printed."""

IN_A_GROUP = 100_000
"""So many rows are one row group of a Parquet file: the URIs of their neighbours are in memory while it is written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="name of a dataset that is published")
    parser.add_argument(
        "--partition", action="append", metavar="PARTITION", help="of this partition; give it again for another"
    )
    parser.add_argument(
        "--to",
        metavar="FOLDER",
        type=Path,
        help="write both tables there, labels and duplicates, as .csv for people and as .parquet for programs, and "
        "search.json, how exact they are",
    )
    parser.add_argument(
        "--neighbours", type=int, default=10, metavar="N",
        help="how many nearest images each image is compared with; by default %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--cosine", type=float, default=0.9, metavar="C",
        help="images whose vectors have at least this cosine are compared by their pixels; by default %(default)s",
    )  # fmt: skip


def run(parsed: argparse.Namespace) -> int:
    """Print what was found, and write it where that was asked for. Returns 0 also when nothing was found."""
    from imagefeatures.audits import duplicates, gallery, labels

    if not re.search(names.DATASET_NAME, parsed.dataset):
        raise ParamsError(f"DATASET: {parsed.dataset!r} cannot be one")
    if not 1 <= parsed.neighbours <= 1000:
        raise ParamsError(f"--neighbours: {parsed.neighbours} is not between 1 and 1000")
    if not 0 < parsed.cosine <= 1:
        raise ParamsError(f"--cosine: {parsed.cosine} is not above 0 and at most 1")
    found = gallery.load(Settings.from_env(), parsed.dataset, parsed.neighbours, parsed.partition)
    say(
        f"{names.table_name(parsed.dataset)}, snapshot {found.snapshot}: {len(found.image):,} photos, "
        f"{len(found.first):,} different images"
    )
    say(f"neighbours: {found.search}")
    doubts = labels.doubtful(found)
    _print_doubts(doubts, labelled=any(found.column("label")))
    pairs, left_out, unseen = duplicates.find(found, parsed.cosine)
    _print_pairs(pairs)
    if unseen:
        say(
            f"{unseen:,} pairs were not compared by their pixels, as an image cannot be read as RGB from where it was; "
            f"those with a cosine of {duplicates.SURE} or more count as the same"
        )
    if left_out:
        say(f"{left_out:,} more pairs were not compared: raise --cosine, or choose partitions")
    if parsed.to:
        parsed.to.mkdir(parents=True, exist_ok=True)
        for name, table in (("labels", doubts), ("duplicates", pairs)):
            for suffix, write in ((".csv", _write_for_people), (".parquet", _write_for_programs)):
                path = parsed.to / f"{name}{suffix}"
                with _whole(path) as draft:
                    write(table, draft)
                say(f"{path}: {table.num_rows:,} rows")
        (parsed.to / "search.json").write_text(json.dumps(_facts(found, parsed), indent=2) + "\n", encoding="utf-8")
    return 0


def _facts(found: Gallery, parsed: argparse.Namespace) -> dict[str, Any]:
    """What the tables are of, and how their neighbours were found: docs/audits.md has the fields."""
    return {
        "dataset": parsed.dataset,
        "snapshot": found.snapshot,
        "photos": len(found.image),
        "images": len(found.first),
        "neighbours": found.near.shape[1],
        "exact": found.recall is None,
        "recall": found.recall,
        "recall_images": found.sampled,
    }


def _print_doubts(doubts: pa.Table, labelled: bool) -> None:
    if not labelled:
        say("labels: there are none")
        return
    sure = sum(doubt == 1 for doubt in doubts["doubt"].to_pylist())
    say(f"labels: {doubts.num_rows:,} photos have a neighbour with another label, {sure:,} of them no other neighbour")
    for row in doubts.slice(0, SHOWN).to_pylist():
        say(f"  {row['doubt']:.0%}  {row['uri']}  is {row['label']}, its neighbours are {row['suggested']}")
    _print_more(doubts)


def _print_pairs(pairs: pa.Table) -> None:
    rows = pairs.to_pylist()
    exact = sum(row["kind"] == "exact" for row in rows)
    across = sum(row["label"] != row["other_label"] for row in rows)
    say(
        f"duplicates: {exact:,} pairs of equal bytes, {len(rows) - exact:,} of the same picture; {across:,} of all "
        "have two labels"
    )
    for row in rows[:SHOWN]:
        say(f"  {row['group']}  {row['kind']}  {row['uri']}  {row['other_uri']}{_labels(row)}")
    _print_more(pairs)


def _labels(row: dict[str, Any]) -> str:
    return f"  {row['label']} and {row['other_label']}" if row["label"] != row["other_label"] else ""


def _print_more(table: pa.Table) -> None:
    if table.num_rows > SHOWN:
        say(f"  and {table.num_rows - SHOWN:,} more: --to FOLDER writes all of them")


@contextlib.contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Where to write a file that is then whole under its name; where the block raises, what was there before stays."""
    draft = path.with_name(f".{path.name}.part")
    yield draft
    draft.replace(path)


def _write_for_people(table: pa.Table, path: Path) -> None:
    """CSV, in which no text is a spreadsheet's formula."""
    import pyarrow as pa
    import pyarrow.csv

    with pyarrow.csv.CSVWriter(path, _for_people(table.slice(0, 0)).schema) as writer:
        for batch in table.to_batches():
            writer.write(_for_people(pa.Table.from_batches([batch])))


def _write_for_programs(table: pa.Table, path: Path) -> None:
    """Parquet with the table's own types, and each text as it is."""
    import pyarrow.parquet as pq

    pq.write_table(table, path, row_group_size=IN_A_GROUP, compression="zstd")


def _for_people(table: pa.Table) -> pa.Table:
    """A list of texts becomes one text, with a line for each; no text is a spreadsheet's formula."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from imagefeatures import spreadsheets

    for index, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            lists = table[field.name].combine_chunks()
            lines = pc.replace_substring(pc.replace_substring(lists.flatten(), "\n", "\\n"), "\r", "\\r")
            table = table.set_column(
                index, field.name, pc.binary_join(pa.ListArray.from_arrays(lists.offsets, lines), "\n")
            )
        if not pa.types.is_floating(field.type) and not pa.types.is_integer(field.type):
            table = table.set_column(index, field.name, spreadsheets.cells(table[field.name]))
    return table
