"""The listing of a re-drive: the source is listed as ever, and cut down to what was chosen.

So each kind of source finds its objects by itself, with today's sizes, versions and labels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from imagefeatures.errors import Rejected
from imagefeatures.preview import in_sample
from imagefeatures.reasons import Reason
from imagefeatures.redrive.selection import PublishedFile, published_rows, selected

if TYPE_CHECKING:
    from imagefeatures.plan import Run
    from imagefeatures.sources import Source

GONE = Rejected(Reason.NOT_FOUND, "the source no longer lists it")


def only_chosen(run: Run, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Those of a listing's rows that are taken again; then a row, with its rejection, for each that is not listed.

    rows: of schemas.LISTING. Of a folder or an archive that was chosen, what lies inside and is not published yet is
    taken, if it is in the dataset's sample. Its own row goes once the source lists what is inside and no longer the
    folder or the archive itself. A name that cannot be written keeps its reason: only another name would mend it.

    Holds every chosen row: about 1 kB each.
    """
    selection = selected(run.layout, run.redrive)
    unseen = {row["uri"]: row for row in selection.chosen.to_pylist()}
    outer = outer_of(run.source, unseen)
    inside, entered = set(selection.inside), set[str]()
    for row in rows:
        uri = row["uri"]
        holder = holder_of(uri, outer)
        if holder:
            entered.add(holder)
        new = holder and uri not in inside and uri not in unseen and in_sample(selection.sample, uri)
        if new or (row["reason"] != Reason.BAD_KEY and unseen.pop(uri, None)):
            yield row
    for uri, row in unseen.items():
        if uri not in entered:
            why = Rejected(Reason.BAD_KEY, row["detail"]) if row["reason"] == Reason.BAD_KEY else GONE
            facts = {name: row[name] for name in ("uri", "size", "etag", "label", "key")}
            yield facts | {"locator": None, "weight": None, "reason": str(why.reason), "detail": why.detail}


def outer_of(source: Source, uris: Iterable[str]) -> set[str]:
    """Those of the quarantined URIs that stand for all that lies inside: archives, and folders of a folder."""
    return {uri for uri in uris if source.holds_images or (source.kind == "folder" and uri.endswith("/"))}


def holder_of(uri: str, outer: Collection[str]) -> str | None:
    """Which of these folders and archives an object lies in; None where it lies in none.

    >>> holder_of("s3://b/1.tar#a/b.jpg", {"s3://b/1.tar"}), holder_of("file:///a/b/c.jpg", {"file:///a/"})
    ('s3://b/1.tar', 'file:///a/')
    """
    if not outer:
        return None
    ends = (at if sign == "#" else at + 1 for at, sign in enumerate(uri[:-1]) if sign in "#/")
    return next((uri[:end] for end in ends if uri[:end] in outer), None)


def published_files(run: Run) -> list[PublishedFile]:
    """The data files of the partition that a re-drive is merged into; none for any other run."""
    return list(selected(run.layout, run.redrive).files) if run.redrive else []


def published_images(file: PublishedFile) -> Iterator[tuple[str, str]]:
    """(image_id, uri) of each row of a data file. Raises AuditFailed."""
    for rows in published_rows(file, ("image_id", "uri")):
        yield from zip(rows["image_id"].to_pylist(), rows["uri"].to_pylist(), strict=True)
