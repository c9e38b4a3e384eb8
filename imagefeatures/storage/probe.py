"""What a store does and does not do: one question after another, under a fresh folder that is removed at the end.

*Needed* is what the pipeline relies on; *nice* is what costs something where it is missing. Questions are asked
through `imagefeatures.storage`, as the pipeline asks, and through a bare client where that hides the store's answer.
It measures no speed, and a yes is a yes for today: a store behind a cache may answer otherwise under load.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import imagefeatures.storage.questions_s3  # noqa: F401  (adds its own to QUESTIONS)
from imagefeatures import storage
from imagefeatures.errors import ImageFeaturesError, StoreError, StoreRefused
from imagefeatures.storage.objects import ObjectChanged, ObjectMissing
from imagefeatures.storage.questions import QUESTIONS


@dataclass(frozen=True)
class Answer:
    """The answer to one question. seen: what was seen instead of a yes; costs: what a no costs the pipeline."""

    name: str
    needed: bool
    yes: bool
    seen: str
    costs: str


def probe(uri: str) -> Iterator[Answer]:
    """Ask a bucket, or a folder in one (`s3://…`, `file:///…`), every question; yields each answer as it comes.

    Raises StoreRefused (missing bucket or folder, wrong credentials) before the first answer; StoreError when the
    store does not answer at all, or when the probe's folder could not be removed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    noes = (ClientError, BotoCoreError, ImageFeaturesError, ObjectMissing, ObjectChanged)
    place = Place(f"{uri if uri.endswith('/') else uri + '/'}imagefeatures-check-{secrets.token_hex(6)}")
    if uri.startswith("file://") and not Path(uri.removeprefix("file://")).is_dir():
        raise StoreRefused(f"{uri}: there is no such folder")  # a write would make it
    next(storage.list_objects(uri), None)  # what a missing bucket or a wrong secret refuses, it refuses here
    try:
        try:
            storage.write(place("hello"), b"")
        except (ObjectMissing, ObjectChanged) as error:
            raise StoreRefused(f"{uri}: the store takes no object there ({error})") from None
        for question in QUESTIONS:
            if question.s3_only and not place.is_s3:
                continue
            try:
                seen = question.ask(place)
            except noes as error:
                seen = f"{type(error).__name__}: {error}"
            yield Answer(question.name, question.needed, not seen, seen, question.costs)
    finally:
        place.remove()


class Place:
    """The probe's own folder in the store, as the pipeline sees it and, on S3, through a bare client."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.is_s3 = uri.startswith("s3://")
        self.bucket, _, self.key = uri.partition("://")[2].partition("/")
        self.names: set[str] = set()

    def __call__(self, name: str) -> str:
        """The URI of a name in this folder. Remembered: a store may fail to list what it took."""
        self.names.add(name)
        return f"{self.uri}/{name}"

    def raw(self, name: str) -> dict[str, str]:
        """The same for the bare client."""
        self.names.add(name)
        return {"Bucket": self.bucket, "Key": f"{self.key}/{name}"}

    @cached_property
    def client(self) -> Any:
        """A client of the same environment, whose answers nothing retries for long or interprets."""
        import boto3
        from botocore.config import Config

        return boto3.client("s3", config=Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 2}))

    def listed(self, folder: str) -> list[str]:
        """The names below a folder of this one, in the listing's order."""
        return [found.uri.removeprefix(f"{self.uri}/") for found in storage.list_objects(f"{self.uri}/{folder}")]

    def remove(self) -> None:
        """Remove all that was written here. Raises StoreError when something is left, or may be."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            for name in sorted(self.names) if self.is_s3 else ():
                with contextlib.suppress(ClientError, BotoCoreError):  # never stored, or removed below
                    self.client.delete_object(**self.raw(name))
            for _ in range(3):  # where `a` hides `a/b` from listings, `a/b` shows only once `a` is gone
                storage.delete_folder(self.uri)
                if not self.listed(""):
                    return
        except (ImageFeaturesError, ObjectMissing, OSError) as error:
            raise StoreError(f"{self.uri}/ is left behind, remove it yourself ({error})") from error
        raise StoreError(f"{self.uri}/ is left behind, remove it yourself (deleting has no effect)")
