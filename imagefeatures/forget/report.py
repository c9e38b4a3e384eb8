"""What a request has done, and what holds the images and is not this service's to delete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

COUNTS = ("rows", "files_rewritten", "files_deleted", "runs_removed", "snapshots_expired")
"""The columns of features.forgotten that count what was done."""


@dataclass
class Report:
    """Of one request. images, uris: that are forgotten. done: whether anything was changed; False for a dry run.

    tables: that hold or held rows. exports: that were deleted. runs, rejects, maps: folders of unfinished runs, kept
    rejects and feature maps that were. sources: URIs of the objects, which are the owners'.
    classifiers: folders of those that were fitted to the datasets. foreign: other files below the lake that hold one,
    also of tables that are somebody's own or were dropped. unreadable: files of which it cannot be told. versioned: the
    lake, where its store may keep what is deleted.
    """

    run_id: str
    images: int
    uris: int
    done: bool
    rows: int = 0
    files_rewritten: int = 0
    files_deleted: int = 0
    runs_removed: int = 0
    snapshots_expired: int = 0
    tables: set[str] = field(default_factory=set)
    exports: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    rejects: set[str] = field(default_factory=set)
    maps: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    classifiers: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    versioned: str | None = None

    @property
    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in COUNTS}

    def lines(self) -> Iterator[str]:
        """The report for a person."""
        state = "forgotten" if self.done else "would be forgotten"
        yield (
            f"{state}, request {self.run_id}: {self.images} images and {self.uris} URIs, in "
            f"{', '.join(sorted(self.tables)) or 'no table'}"
        )
        if self.done:
            yield (
                f"  {self.rows} rows removed, {self.files_rewritten} files written anew, {self.files_deleted} files "
                f"deleted, {self.snapshots_expired} snapshots expired, {self.runs_removed} unfinished runs removed"
            )
        told = {
            "an export, which is to be made again": self.exports,
            "an unfinished run, which cannot go on then: start a new one": self.runs,
            "a kept reject": self.rejects,
            "a feature map": self.maps,
            "at the source, which is not touched": self.sources,
            "a classifier that was fitted to the dataset: fit it again, or delete it": self.classifiers,
            "holds one, and is no export and of no table of this service: delete it, or the rows of the table that it "
            "is of": self.foreign,
            "cannot be searched; look at it": self.unreadable,
        }
        for what, places in told.items():
            for place in sorted(places):
                yield f"  {place}: {what}"
        if self.versioned:
            yield f"  {self.versioned}: a bucket that keeps versions still has the deleted bytes; delete those versions"
        yield (
            "  not searched: backups of the lake, what was read or exported elsewhere, logs, saved maps and reports, "
            "and thumbnails in the cache folders of other machines, where no page shows them any more"
        )
