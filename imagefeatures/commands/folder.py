"""`imagefeatures folder PATH`: the images of one folder to a table and a picture. Nothing else is needed."""

from __future__ import annotations

import argparse
import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from imagefeatures.commands import local_run
from imagefeatures.commands.printing import say
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ImageFeaturesError, ParamsError, TooManyRejected
from imagefeatures.run_params import RunParams
from imagefeatures.settings import REPOSITORY, Settings, is_checkout, program
from imagefeatures.sources.passed_over import DEFAULT_EXCLUDES, objects

HELP = "the images of one folder to a table and a picture: no dataset file, no partition"
EXAMPLES = 4
"""How many rejected files are named for each reason."""

Rejections = Sequence[dict[str, Any]]
"""Rows of schemas.REJECTED."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="the folder; its subfolders are included")
    parser.add_argument("--name", help="name of the dataset and its table; by default made from the folder's name")
    parser.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="where the picture goes; by default out/NAME.png of the checkout, or NAME.png here",
    )
    local_run.add_arguments(parser)


def run(parsed: argparse.Namespace) -> int:
    """Run the folder, and print the result. Raises TooManyRejected when none of its files is a good image."""
    from imagefeatures import folder_dataset

    started = time.perf_counter()
    settings = Settings.from_env()
    dataset = folder_dataset.dataset_of(parsed.path, settings, parsed.name)
    labels = "labels are the names of its subfolders" if dataset.label == "parent" else "without labels"
    local_run.announce(f"{_path(dataset)} to features.{dataset.name}, {labels}", parsed.workers)
    command = f"{program()} folder {shlex.quote(parsed.path)}" + (f" --name {parsed.name}" if parsed.name else "")
    with local_run.resumable(settings, dataset.name, folder_dataset.PARTITION, command, planned=parsed.resume):
        summary, rejected = _published(dataset, settings, parsed.workers, parsed.resume)
    seconds = time.perf_counter() - started
    say()
    say(
        f"{summary['listed']:,} files = {summary['registered']:,} images with features + {summary['quarantined']:,} "
        f"rejected, in {seconds:.1f} s ({summary['listed'] / seconds:,.0f} files/s)"
        + f"; vectors known from before: {summary['reused']:,}"
        * bool(summary["reused"])
    )
    if left := summary["passed_over"].get(DEFAULT_EXCLUDES):
        say(f"{objects(left)} passed over that systems and tools leave beside photos, such as .DS_Store")
    for line in _about_rejected(rejected, dataset):
        say(line)
    say()
    for line in local_run.about_table(dataset, settings):
        say(line)
    say()
    say(_draw(dataset, settings, parsed.picture or _place_of_picture(dataset)))
    say()
    place = folder_dataset.datasets_folder(settings) or Path("datasets")
    say(f"To have it in Airflow too, save this as {place / dataset.name}.yaml:")
    say()
    for line in folder_dataset.dataset_file(dataset).splitlines():
        say(f"    {line}")
    return 0


def _published(dataset: Dataset, settings: Settings, workers: int, resume: bool) -> tuple[dict[str, Any], Rejections]:
    """Run the dataset to the end. Returns register's summary and the rejected rows."""
    from imagefeatures import local, shards, storage
    from imagefeatures.folder_dataset import PARTITION
    from imagefeatures.plan import load_run, plan_run
    from imagefeatures.progress import Progress
    from imagefeatures.step_runner import prepare_model
    from imagefeatures.steps import FEATURIZE, SPARK_STEPS
    from imagefeatures.steps.register import register

    progress = Progress(settings.lake, dataset.name, [PARTITION])
    if resume:
        run = load_run(local.unfinished_run(settings, dataset.name, PARTITION), settings.lake)
        if run.source != dataset.source:
            raise ParamsError(f"--resume: the unfinished run of {dataset.name} is of {run.source}; leave --resume out")
    else:
        run = load_run(plan_run(dataset, RunParams(), PARTITION, settings), settings.lake)
    with local.open_workers(workers) as opened:
        prepare_model(run, settings)
        local.run_steps(run, opened, progress=progress.update)
    receipts = {step: shards.read_receipts(run.layout, step) for step in SPARK_STEPS}
    files = [receipt.rejected for of_step in receipts.values() for receipt in of_step if receipt.rejected]
    rejected = [row for file in files for row in shards.read_staged(file).to_pylist()]
    if not any(receipt.output.rows for receipt in receipts[FEATURIZE]):
        storage.delete_folder(run.layout.run)
        for line in _about_rejected(rejected, dataset, published=False):
            say(line)
        raise TooManyRejected(f"none of the {len(rejected):,} files in {_path(dataset)} is a good image")
    return register(run.layout.run_file, settings).summary, rejected


def _about_rejected(rejected: Rejections, dataset: Dataset, published: bool = True) -> Iterator[str]:
    if not rejected:
        return
    yield ""
    yield "Rejected:"
    for reason, count in Counter(row["reason"] for row in rejected).most_common():
        yield f"  {count:,} × {reason}"
        rows = [row for row in rejected if row["reason"] == reason]
        rows.sort(key=lambda row: row["uri"])
        for row in rows[:EXAMPLES]:
            yield f"      {_inside(row['uri'], dataset)}: {row['detail']}"
        if count > EXAMPLES:
            yield f"      … and {count - EXAMPLES:,} more"
    if published:
        yield f"  To see all of them, with {program('python')}:"
        yield from local_run.reading(
            f""""quarantine", where="dataset = '{dataset.name}'").to_pylist()  # uri, reason, detail"""
        )


def _draw(dataset: Dataset, settings: Settings, target: Path) -> str:
    """Draw the picture. Returns the line about it; an error is only reported, since the table is published already."""
    from imagefeatures import picture

    try:
        features, labels, uris, total = _sampled(dataset, settings)
        picture.draw(features, labels, uris, target, total)
    except (ImageFeaturesError, OSError) as error:
        return f"The picture could not be drawn: {error}"
    return f"The picture: {target}"


def _place_of_picture(dataset: Dataset) -> Path:
    """In the checkout's out/; else here, but not inside the folder, where the next run would list it."""
    if is_checkout(REPOSITORY):
        return REPOSITORY / "out" / f"{dataset.name}.png"
    folder, here = Path(_path(dataset)), Path.cwd()
    return (folder.parent if here.is_relative_to(folder) else here) / f"{dataset.name}.png"


def _sampled(dataset: Dataset, settings: Settings) -> tuple[Any, list[str | None], list[str], int]:
    """Features, float32 [n, width], labels and URIs of the picture's photos; and how many photos the table holds.

    Holds the sample and one batch of the table at a time.
    """
    import pyarrow as pa

    from imagefeatures import picture, read
    from imagefeatures.folder_dataset import PARTITION

    columns = ("uri", "label", "features")
    sample: list[pa.Table] = []
    total = 0
    for batch in read.batches(settings, dataset.name, columns=columns, partitions=(PARTITION,)):
        total += batch.num_rows
        both = pa.concat_tables([*sample, pa.Table.from_batches([batch])])
        sample = [both.take(picture.sample(both["uri"].to_pylist()))]
    (kept,) = sample  # there is a batch: at least one image was registered
    return read.vectors(kept), kept["label"].to_pylist(), kept["uri"].to_pylist(), total


def _path(dataset: Dataset) -> str:
    return str(dataset.source).removeprefix("file://")


def _inside(uri: str, dataset: Dataset) -> str:
    return uri.removeprefix(str(dataset.source))
