"""Whether a source has an object for a run: a bounded look before the run, and why there is none.

plan looks, so that a misspelt partition or pattern is one line within a second, and no Spark job is started for it.
ingest asks again when its whole listing has come to nothing.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from imagefeatures.datasets import Dataset
from imagefeatures.errors import NoInput
from imagefeatures.reasons import printable
from imagefeatures.sources import AnySource

LOOKED_AT = 5_000
"""The most objects that are looked at: five requests to an S3 store."""

EXAMPLES = 3
"""How many names are given as examples."""


@dataclass
class Look:
    """The first objects of a source: how many there were, how many fit its pattern, and whether one is in the sample.

    case: how many would fit if upper and lower case were the same. others: names of some that do not fit.
    whole: whether there were no more than LOOKED_AT.
    """

    objects: int = 0
    fitting: int = 0
    case: int = 0
    others: list[str] = field(default_factory=list)
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
    any_name = source.model_copy(update={"pattern": ("*",)})
    lower = source.model_copy(update={"pattern": tuple(pattern.lower() for pattern in source.pattern)})
    for item in islice(any_name.items(), LOOKED_AT + 1):
        if seen.objects == LOOKED_AT:
            seen.whole = False
            break
        seen.objects += 1
        # A folder that may not be read is an item whatever the pattern says.
        if item.uri.endswith("/") or source.matches(item.uri):
            seen.fitting += 1
            if in_sample(dataset.sample, item.uri):
                seen.sampled = True
                break
            continue
        seen.case += lower.matches(item.uri.lower())
        if len(seen.others) < EXAMPLES:
            seen.others.append(printable(item.uri.rsplit("/", 1)[-1]))
    return seen


def explain(dataset: Dataset, source: AnySource, partition: str, seen: Look | None = None) -> str:
    """Why a run found no object: one line for NoInput. seen: what `look` has seen, if the caller has it."""
    seen = seen or look(dataset, source)
    count = f"{seen.objects:,}" if seen.whole else f"more than {LOOKED_AT:,}"
    objects = f"{count} object{'s' * (seen.objects != 1)}"
    if seen.sampled:
        return f"NO_INPUT: {source} had no object when it was listed, and has some now; start a new run"
    if not seen.objects:
        return f"NO_INPUT: {_nothing_there(source)}{''.join(_hints(dataset, source, partition))}"
    if not seen.fitting:
        found = f"{', '.join(seen.others)}{', …' * (seen.objects > len(seen.others))}"
        text = f"NO_INPUT: {objects} at {source}, and none fits the pattern {list(source.pattern)}: {found}"
        case = f"; {seen.case:,} would fit if upper and lower case were the same: write the pattern in both"
        return text + (case if seen.case else "")
    return (
        f"NO_INPUT: {objects} at {source}, of which {seen.fitting:,} fit the pattern, and none is in the sample of "
        f"{dataset.sample:g}: choose a larger sample"
    )


def has_partitions(dataset: Dataset) -> bool:
    """Whether the dataset's source is another one for another partition.

    >>> has_partitions(Dataset(name="fruit", source="s3://photos/fruit/"))
    False
    """
    one, other = (dataset.source_for(day) for day in ("2026-01-02", "2027-03-04"))
    return one != other


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


def _hints(dataset: Dataset, source: AnySource, partition: str) -> Iterator[str]:
    template = dataset.source.uri
    if has_partitions(dataset) and "{partition" in template:
        there = _beside(template)
        near = difflib.get_close_matches(partition, there, EXAMPLES)
        names = ", ".join(printable(name) for name in sorted(near) or there[:EXAMPLES])
        if near:
            yield f"; of the {len(there):,} partitions that are there, these are the nearest: {names}"
        elif there:
            yield f"; there are {len(there):,} folders in the place of the partition, none of a similar name: {names}"
        else:
            yield f"; there is no partition in {_parent(template)}"
    if re.search(r"/~|\$", source.uri):
        yield "; ~ and $ are not replaced by a folder or a variable: write the whole path"


def _parent(template: str) -> str:
    """The folder that holds the partitions.

    >>> _parent("s3://photos/fruit/day-{partition}/raw/")
    's3://photos/fruit/'
    """
    return template[: template.index("{partition")].rpartition("/")[0] + "/"


def _beside(template: str) -> list[str]:
    """The names of the folders in the place of the partition, as far as a bounded look shows them."""
    from imagefeatures import storage

    parent = _parent(template)
    if parent.startswith("file://"):
        try:
            return sorted(entry.name for entry in os.scandir(parent.removeprefix("file://")) if entry.is_dir())
        except OSError:
            return []
    below = (stored.uri.removeprefix(parent) for stored in islice(storage.list_entries(parent), LOOKED_AT))
    return sorted({path.partition("/")[0] for path in below if "/" in path})
