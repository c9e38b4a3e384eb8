"""Whether a source has an object for a run: a bounded look before the run, and why there is none.

plan looks, so that a misspelt partition or pattern is one line within a second, and no Spark job is started for it.
ingest asks again when its whole listing has come to nothing.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from dataclasses import dataclass, field
from itertools import islice

from imagefeatures.datasets import Dataset
from imagefeatures.errors import NoInput
from imagefeatures.reasons import printable
from imagefeatures.sources import AnySource, PassedOver
from imagefeatures.sources.passed_over import PATTERN, objects

LOOKED_AT = 5_000
"""The most objects that are looked at: five requests to an S3 store."""

NEAREST = 3
"""How many partitions are named that are there instead."""


@dataclass
class Look:
    """The first objects of a source: how many there were, and whether one of them is in the sample.

    passed: those that the source passes over. whole: whether there were no more than LOOKED_AT.
    """

    objects: int = 0
    passed: PassedOver = field(default_factory=PassedOver)
    sampled: bool = False
    whole: bool = True


def require_objects(dataset: Dataset, source: AnySource, partition: str) -> None:
    """Raise NoInput when the source certainly has no object for a run. Stops at the first one that it has.

    dataset: with the run's parameters in it. source: the dataset's, for the partition. Raises StoreRefused, StoreError.
    """
    seen = look(dataset, source)
    if seen.whole and not seen.sampled:
        raise NoInput(explain(dataset, source, partition, seen))


def look(dataset: Dataset, source: AnySource) -> Look:
    """Look at the first objects of a source, up to the first one that a run of the dataset would take."""
    seen = Look()
    for item in islice(source.of_everything.items(), LOOKED_AT + 1):
        if seen.objects == LOOKED_AT:
            seen.whole = False
            break
        seen.objects += 1
        if not source.passes_over(item, seen.passed) and in_sample(dataset.sample, item.uri):
            seen.sampled = True
            break
    return seen


def explain(dataset: Dataset, source: AnySource, partition: str, seen: Look | None = None) -> str:
    """Why a run found no object: one line for NoInput. seen: what `look` has seen, if the caller has it."""
    seen = seen or look(dataset, source)
    if seen.sampled:
        return f"NO_INPUT: {source} had no object when it was listed, and has some now; start a new run"
    if not seen.objects:
        return f"NO_INPUT: {_nothing_there(source)}{_partitions_there(dataset, partition)}"
    there = f"NO_INPUT: {'' if seen.whole else 'more than '}{objects(seen.objects)} at {source}"
    if fitting := seen.objects - seen.passed.counts.total():
        return (
            f"{there}, of which {fitting:,} fit the pattern, and none is in the sample of {dataset.sample:g}: choose a "
            "larger sample"
        )
    return f"{there}, and none fits the pattern {list(source.pattern)}{_what_there_is(seen.passed)}"


def in_sample(share: float, uri: str) -> bool:
    """Whether the key's hash falls into the sample: the same keys on every machine and day."""
    if share >= 1:
        return True
    digest = hashlib.sha256(uri.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def _nothing_there(source: AnySource) -> str:
    path = source.uri.removeprefix("file://")
    if path == source.uri:
        return f"there is no object at {source}"
    if not os.path.lexists(path):
        return f"there is no folder {source}"
    return f"{source} is empty"


def _what_there_is(passed: PassedOver) -> str:
    text = f"; {passed}"
    if list(passed.counts) == [PATTERN]:
        names = [printable(uri.rsplit("/", 1)[-1]) for uri in passed.examples[PATTERN]]
        text = f": {', '.join(names)}{', …' * (passed.counts.total() > len(names))}"
    if passed.in_another_case:
        text += f"; {passed.in_another_case:,} would fit without regard to case (ignore_case: true in source)"
    return text


def _partitions_there(dataset: Dataset, partition: str) -> str:
    template = dataset.source.uri
    if not dataset.source.by_partition:
        return ""
    if not (there := _beside(dataset.source)):
        return f"; there is no partition in {_parent(template)}"
    near = difflib.get_close_matches(partition, there, NEAREST)
    names = ", ".join(printable(name) for name in sorted(near) or there[:NEAREST])
    if near:
        return f"; of the {len(there):,} partitions that are there, these are the nearest: {names}"
    return f"; there are {len(there):,} folders in the place of the partition, none of a similar name: {names}"


def _parent(template: str) -> str:
    """The folder that holds the partitions.

    >>> _parent("s3://photos/fruit/day-{partition}/raw/")
    's3://photos/fruit/'
    """
    return template[: template.index("{partition")].rpartition("/")[0] + "/"


def _beside(source: AnySource) -> list[str]:
    """The names of the folders in the place of the partition, as far as a bounded look shows them."""
    parent = _parent(source.uri)
    if parent.startswith("file://"):
        try:
            return sorted(entry.name for entry in os.scandir(parent.removeprefix("file://")) if entry.is_dir())
        except OSError:
            return []
    everything = source.of_everything.model_copy(update={"uri": parent})
    below = (item.uri.removeprefix(parent) for item in islice(everything.items(), LOOKED_AT))
    return sorted({path.partition("/")[0] for path in below if "/" in path})
