"""What a listing passes over: objects that are neither published nor quarantined, counted by what said so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from imagefeatures.reasons import printable, without_secrets

PATTERN, EXCLUDE, DEFAULT_EXCLUDES, SAMPLE = "pattern", "exclude", "default_excludes", "sample"
"""The fields of a dataset file by which an object is passed over."""

REPEATED = "repeated"
"""An object that a list or a table names again."""

FOLDER_MARKER = "folder_marker"
"""An empty object whose name ends in a slash: some tools make one for each folder."""

EMPTY_FILE = "empty_file"
"""A file without a byte among those of a table: Spark writes one where a part has no row."""

EXAMPLES = 3
"""So many URIs are remembered for each cause."""


class PassedOver:
    """Filled while a source is listed. counts: objects by cause. examples: the first URIs of each cause.

    in_another_case: of those that fit no pattern, how many would fit with `ignore_case: true`.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        self.in_another_case = 0

    def add(self, cause: str, uri: str) -> None:
        """Count one object."""
        self.counts[cause] += 1
        examples = self.examples.setdefault(cause, [])
        if len(examples) < EXAMPLES:
            examples.append(uri)

    def __str__(self) -> str:
        """How many objects, and why, with an example of each cause."""
        causes = (
            f"{cause} {count:,} (such as {printable(without_secrets(self.examples[cause][0]))})"
            for cause, count in self.counts.most_common()
        )
        return f"{objects(self.counts.total())} passed over: {', '.join(causes)}"


def in_words(counts: Mapping[str, int]) -> str:
    """How many objects were passed over, and why.

    >>> in_words({"pattern": 60, "default_excludes": 1}), in_words({})
    ('61 objects passed over (pattern 60, default_excludes 1)', '0 objects passed over')
    """
    causes = ", ".join(f"{cause} {count:,}" for cause, count in Counter(counts).most_common())
    return f"{objects(sum(counts.values()))} passed over" + (f" ({causes})" if causes else "")


def objects(count: int) -> str:
    """
    >>> objects(1), objects(1200)
    ('1 object', '1,200 objects')
    """
    return f"{count:,} object{'' if count == 1 else 's'}"
