"""The folder that `imagefeatures check-store` works in."""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import Any

from imagefeatures import storage
from imagefeatures.errors import ImageFeaturesError, StoreError
from imagefeatures.storage.objects import ObjectMissing


class Workspace:
    """The checks' own folder in a store, reached as the pipeline reaches it and, on S3, by a bare client too."""

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
