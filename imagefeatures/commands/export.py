"""`imagefeatures export DATASET --to FILE`: the vectors or the pixels of a dataset as a file for another tool."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from typing import TextIO

from imagefeatures import names
from imagefeatures.commands.printing import say
from imagefeatures.errors import ParamsError
from imagefeatures.exports import formats
from imagefeatures.settings import Settings

HELP = "the vectors or the pixels of a dataset as a file for another tool: HDF5, NumPy, TFRecord, CSV and others"
SECONDS_BETWEEN_LINES = 2.0
WHAT = ("features", "pixels")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    suffixes = ", ".join(suffix for one in formats.FORMATS for suffix in one.suffixes)
    folders = " or ".join(one.name for one in formats.FORMATS if one.folder)
    flat = ", ".join(one.name for one in formats.FORMATS if one.flat)
    parser.add_argument("dataset", metavar="DATASET", help="name of a dataset that is published")
    parser.add_argument(
        "--to", required=True, metavar="FILE",
        help=f"where: a path, file:// or s3://. Its suffix says the format: {suffixes}. A name that ends in / is a "
        f"folder of several files, for --format {folders}",
    )  # fmt: skip
    parser.add_argument("--format", metavar="FORMAT", help=f"in place of the suffix: {', '.join(formats.by_name)}")
    parser.add_argument(
        "--what",
        default="features",
        metavar="WHAT",
        help="features, the vectors; or pixels, which a dataset file with pixels: keep publishes",
    )
    parser.add_argument(
        "--model", metavar="NAME", help="of a dataset with several models, whose vectors; by default the first's"
    )
    rows = parser.add_argument_group("which rows", "By default all of the current snapshot, in order of uri.")
    rows.add_argument(
        "--partition", action="append", metavar="PARTITION", help="of this partition; give it again for another"
    )
    rows.add_argument("--label", action="append", metavar="LABEL", help="with this label; give it again for another")
    rows.add_argument("--snapshot", type=int, metavar="ID", help="of an earlier snapshot of the table")
    columns = parser.add_argument_group("what of a row")
    columns.add_argument(
        "--columns", metavar="NAME,…",
        help="the columns besides the values, uri and label; by default image_id,partition_key,width,height",
    )  # fmt: skip
    columns.add_argument(
        "--flatten", action="store_true", help=f"each value of the vector as a column, f0, f1, …: {flat}"
    )
    columns.add_argument(
        "--pca", type=int, metavar="N",
        help="the first N principal components of what is exported in place of the vectors; FILE.pca.npz "
        "has what makes them of another vector",
    )  # fmt: skip
    columns.add_argument(
        "--originals", action="store_true",
        help="with --what pixels as webdataset: the images themselves, read again from their URIs, in place of PNGs",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace an export that is there")


def run(parsed: argparse.Namespace) -> int:
    """Say the size, write the export with its progress, and say what is there now."""
    from imagefeatures import read
    from imagefeatures.exports import export

    if parsed.what not in WHAT:
        raise ParamsError(f"--what: {parsed.what!r} cannot be exported; {' or '.join(WHAT)} can")
    if not re.search(names.DATASET_NAME, parsed.dataset):
        raise ParamsError(f"DATASET: {parsed.dataset!r} cannot be one")
    columns = (
        tuple(name.strip() for name in parsed.columns.split(",")) if parsed.columns is not None else export.COLUMNS
    )
    if parsed.model and parsed.what != "features":
        raise ParamsError("--model: pixels are of no model; leave it out")
    settings = Settings.from_env()
    request = export.Request(
        dataset=read.table_of(settings, parsed.dataset, parsed.model) if parsed.model else parsed.dataset,
        target=parsed.to,
        format=parsed.format,
        what=parsed.what,
        columns=columns,
        components=parsed.pca,
        flat=parsed.flatten,
        originals=parsed.originals,
        overwrite=parsed.overwrite,
        selection={"partitions": parsed.partition, "labels": parsed.label, "snapshot": parsed.snapshot},
    )
    progress = Progress(sys.stderr)
    began = time.monotonic()
    ready = export.prepare(settings, request, progress.update)
    content = ready.content
    progress.end()
    if ready.projection is not None:
        explained = ready.projection.explained
        shares = ", ".join(f"{share:.1%}" for share in explained[:5])
        say(f"{content.shape[0]} components explain {explained.sum():.1%} of the variance; the first ones {shares}")
    shape = " × ".join(f"{size:,}" for size in content.shape)
    say(
        f"{content.rows:,} rows of {shape} {content.values}, snapshot {content.snapshot}, as "
        f"{ready.format.name} ({ready.format.compression}): about {in_words(ready.bytes)}"
    )
    written = ready.write(progress.update)
    progress.end()
    if content.originals is not None and content.originals.left_out:
        say(f"left out: {content.originals.left_out:,} images that cannot be read again as they were")
        for line in content.originals.named:
            say(f"  {line}")
    say(f"{parsed.to}: {in_words(written)} in {time.monotonic() - began:.1f} s")
    return 0


def in_words(count: int) -> str:
    """Bytes for a person to read.

    >>> in_words(999), in_words(5_120_000), in_words(5_120_000_000)
    ('999 bytes', '5.1 MB', '5.1 GB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:,.1f} {unit}"
    return f"{count} bytes"


class Progress:
    """How much of an export is done, and when it will be: one line that is drawn again, or a line every two seconds."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._what, self._began, self._last = "", 0.0, 0.0
        self._drawn = False

    def update(self, what: str, done: int, whole: int) -> None:
        """Take what is being done, and how much of how much of it is done."""
        now = time.monotonic()
        if what != self._what:
            self.end()
            self._what, self._began, self._last = what, now, now
        on_terminal = self._out.isatty()
        if now - self._last < (SECONDS_BETWEEN_LINES / 10 if on_terminal else SECONDS_BETWEEN_LINES):
            return
        self._last = now
        left = (now - self._began) * (whole - done) / max(done, 1)
        line = f"{what} {done / max(whole, 1):4.0%}  {done:,} of {whole:,}  {left:,.0f} s left"
        if on_terminal:
            line = f"\r{line[: shutil.get_terminal_size().columns - 1]}\x1b[K"
        print(line, end="" if on_terminal else "\n", file=self._out, flush=True)
        self._drawn = on_terminal

    def end(self) -> None:
        """Clear the line on a terminal, so that another can be printed."""
        if self._drawn:
            print("\r\x1b[K", end="", file=self._out, flush=True)
        self._drawn = False
