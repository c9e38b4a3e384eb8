"""Whether a source has an object for a run: a bounded look before the run, and why there is none.

plan looks, so that a misspelt partition or pattern is one line within a second, and no Spark job is started for it.
ingest asks again when its whole listing has come to nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import islice

from imagefeatures.datasets import Dataset
from imagefeatures.errors import NoInput
from imagefeatures.sources import AnySource, PassedOver
from imagefeatures.sources.located import LOOKED_AT
from imagefeatures.sources.passed_over import objects


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
    for item in islice(source.everything(), LOOKED_AT + 1):
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
        return f"NO_INPUT: {source.nothing_there()}{dataset.source.partitions_there(partition)}"
    there = f"NO_INPUT: {'' if seen.whole else 'more than '}{objects(seen.objects)} at {source}"
    if fitting := seen.objects - seen.passed.counts.total():
        return (
            f"{there}, of which {fitting:,} fit the pattern, and none is in the sample of {dataset.sample:g}: choose a "
            "larger sample"
        )
    return f"{there}{source.nothing_taken(seen.passed)}"


def in_sample(share: float, uri: str) -> bool:
    """Whether the key's hash falls into the sample: the same keys on every machine and day."""
    if share >= 1:
        return True
    digest = hashlib.sha256(uri.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8]) < share * 2**64
