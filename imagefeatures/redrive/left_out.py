"""The partitions that a re-drive, or a withdrawal, of all of them leaves out: what is wrong with one stops no other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from imagefeatures.errors import (
    CatalogRefused,
    DecoderUnavailable,
    ImageFeaturesError,
    InputError,
    ModelMismatch,
    SettingsError,
)

OF_EVERY_PARTITION = (SettingsError, CatalogRefused, ModelMismatch, DecoderUnavailable)
"""These end it at once: the next partition would have the same error."""

NAMED = 20
"""So many partitions are named in one line."""


class LeftOut:
    """Collects the partitions that could not be taken again, or taken back, each with its error.

    >>> left_out = LeftOut("fruit", None, print)
    >>> with left_out.noticed("2026-11-02"):
    ...     raise InputError("nothing matches")
    2026-11-02 is left out: nothing matches
    >>> left_out.refuse()
    Traceback (most recent call last):
    imagefeatures.errors.InputError: 1 partition of fruit was not taken again: 2026-11-02; the lines above say why
    """

    def __init__(
        self, dataset: str, asked: str | None, tell: Callable[[str], object], what: str = "taken again"
    ) -> None:
        """asked: the one partition that somebody has asked for, whose error is raised. tell: gets each line.

        what: was not done of them.
        """
        self.dataset = dataset
        self.what = what
        self.asked = asked
        self.tell = tell
        self.errors: dict[str, ImageFeaturesError] = {}

    @contextlib.contextmanager
    def noticed(self, partition: str) -> Iterator[None]:
        """Note the error that the work on a partition ends with, and go on."""
        try:
            yield
        except ImageFeaturesError as error:
            if self.asked or isinstance(error, OF_EVERY_PARTITION):
                raise
            self.errors[partition] = error
            self.tell(f"{partition} is left out: {error}")

    def refuse(self) -> None:
        """Raise an error that names the partitions, if there are any: InputError where no retry would help any."""
        if not self.errors:
            return
        line = in_one_line(self.dataset, list(self.errors), self.what)
        if all(isinstance(error, InputError) for error in self.errors.values()):
            raise InputError(line)
        raise ImageFeaturesError(line)


def in_one_line(dataset: str, partitions: list[str], what: str = "taken again") -> str:
    """How many partitions were left out, and which.

    >>> in_one_line("fruit", ["a", "b"])
    '2 partitions of fruit were not taken again: a, b; the lines above say why'
    """
    more = f" and {len(partitions) - NAMED:,} more" if len(partitions) > NAMED else ""
    count = f"{len(partitions):,} partitions of {dataset} were" if partitions[1:] else f"1 partition of {dataset} was"
    return f"{count} not {what}: {', '.join(partitions[:NAMED])}{more}; the lines above say why"
