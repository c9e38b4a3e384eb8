"""The folder in which the checks write, and the bare S3 client that some of them use."""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import Any

from imagefeatures import storage
from imagefeatures.errors import ImageFeaturesError, StoreError
from imagefeatures.storage.objects import ObjectMissing


class Workspace:
    """The checks' own folder in a store, reached through `imagefeatures.storage` and, on S3, through a bare client."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.is_s3 = uri.startswith("s3://")
        self.bucket, _, self.key = uri.partition("://")[2].partition("/")
        self.names: set[str] = set()

    def __call__(self, name: str) -> str:
        """The URI of a name in this folder. Remembers the name, since a store may fail to list an object."""
        self.names.add(name)
        return f"{self.uri}/{name}"

    def raw(self, name: str) -> dict[str, str]:
        """The bucket and key of a name in this folder, as arguments of the bare client. Remembers the name."""
        self.names.add(name)
        return {"Bucket": self.bucket, "Key": f"{self.key}/{name}"}

    @cached_property
    def client(self) -> Any:
        """A boto3 client with the pipeline's configuration, but without its retries and translated errors."""
        import boto3
        from botocore.config import Config

        return boto3.client("s3", config=Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 2}))

    def listed(self, folder: str) -> list[str]:
        """The names below a folder inside this one, in the listing's order."""
        return [stored.uri.removeprefix(f"{self.uri}/") for stored in storage.list_objects(f"{self.uri}/{folder}")]

    def remove(self) -> None:
        """Remove everything written here. Raises StoreError if something is left, or may be left."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            for name in sorted(self.names) if self.is_s3 else ():
                with contextlib.suppress(ClientError, BotoCoreError):  # it was never stored, or is removed below
                    self.client.delete_object(**self.raw(name))
            for _ in range(3):  # some stores list `a/b` only once `a` is gone
                storage.delete_folder(self.uri)
                if not self.listed(""):
                    return
        except (ImageFeaturesError, ObjectMissing, OSError) as error:
            raise StoreError(f"{self.uri}/ is left behind, remove it yourself ({error})") from error
        raise StoreError(f"{self.uri}/ is left behind, remove it yourself (deleting has no effect)")
