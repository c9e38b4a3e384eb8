"""Bulk reads of small objects through obstore, which needs a seventh of boto3's processor time for each.

The bulk reader makes one request and returns bytes or nothing. For nothing (a refusal, a version that is gone, a key
that obstore does not take, a store that it cannot talk to) the caller asks boto3, whose errors say more.
"""

from __future__ import annotations

import logging
import re
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagefeatures.storage.objects import Access
from imagefeatures.storage.retry import ATTEMPT_SECONDS, CONNECT_SECONDS, STALL_SECONDS, Transient
from imagefeatures.usage import traffic

if TYPE_CHECKING:
    from obstore import GetResult
    from obstore.store import ClientConfig

LARGEST_BYTES = 16 << 20
"""Larger objects are read by boto3: its processor time does not matter for them, and its attempts may take longer."""

TRIES_WITHOUT_SUCCESS = 50
"""After so many failures in a row obstore is not used again, because it cannot reach this store."""


class BulkReader:
    """Reads objects of one bucket with the address, region and credentials of a boto3 client. access: of the bucket.

    Raises ValueError if obstore cannot be set up so: an unusual bucket name, no credentials.
    """

    def __init__(self, bucket: str, client: Any, access: Access) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", bucket):
            raise ValueError(f"{bucket}: obstore does not take such a name")  # it panics at a space
        self._bucket = bucket
        self._store = _open(bucket, client, access)
        self._lock = threading.Lock()
        self._failed_in_a_row = 0

    def get(self, key: str, etag: str, size: int) -> bytes | None:
        """The bytes of this version of a key; None if the caller has to ask boto3.

        Raises Transient for a failure that may pass: the caller then waits before it asks boto3.
        """
        if size > LARGEST_BYTES or key != key.strip("/") or self._failed_in_a_row >= TRIES_WITHOUT_SUCCESS:
            return None  # obstore would drop a slash at either end of a key; other unusual keys it refuses
        import obstore
        from obstore.exceptions import BaseError, GenericError, PreconditionError

        traffic.s3_request("GetObject")
        try:
            response = obstore.get(self._store, key, options={"if_match": f'"{etag}"'})
            same = response.meta["path"] == key and (response.meta["e_tag"] or "").strip('"') == etag
            data = _at_most(response, size) if same else None
        except GenericError as error:
            self._failed()
            raise Transient(str(error).splitlines()[0]) from None
        except (
            FileNotFoundError,
            PreconditionError,
            ValueError,
        ):  # gone, replaced, or refused by obstore
            return None
        except (BaseError, OSError):  # for example a refusal
            self._failed()
            return None
        except BaseException as panic:
            if type(panic).__name__ != "PanicException":  # a panic in Rust code; it is not an Exception
                raise
            self._failed()
            return None
        self._failed_in_a_row = 0
        return data

    def _failed(self) -> None:
        with self._lock:
            self._failed_in_a_row += 1
            if self._failed_in_a_row == TRIES_WITHOUT_SUCCESS:
                logging.getLogger(__name__).warning("s3://%s: read by boto3 from now on, obstore fails", self._bucket)


def _at_most(response: GetResult, size: int) -> bytes | None:
    """The body; None if it does not have this size. No more than one chunk beyond it is read."""
    chunks: list[bytes] = []
    left = size
    if response.meta["size"] != size:
        return None
    for chunk in response:
        left -= len(chunk)
        traffic.read(len(chunk))
        if left < 0:
            return None
        chunks.append(bytes(chunk))
    return b"".join(chunks)


def _open(bucket: str, client: Any, access: Access) -> Any:
    from obstore.store import S3Store

    endpoint, region = client.meta.endpoint_url, client.meta.region_name
    options: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=STALL_SECONDS),  # without a byte
        "timeout": timedelta(seconds=ATTEMPT_SECONDS),  # for the whole body, even if bytes still arrive
    }
    if bundle := _ca_bundle():
        options["root_certificate"] = bundle
    # obstore also reads the environment, by rules of its own. Options that are passed here take precedence.
    return S3Store(
        bucket,
        endpoint=endpoint,
        aws_endpoint_url_s3=endpoint,
        region="us-east-1" if region in (None, "aws-global") else region,
        virtual_hosted_style_request=False,
        skip_signature=access.anonymous,
        request_payer=access.requester_pays,
        credential_provider=None if access.anonymous else _credentials(),
        client_options=options,
        retry_config={"max_retries": 0, "retry_timeout": timedelta(0)},  # with_retries does that
    )


def _credentials() -> Any:
    """boto3's credentials, from whatever source it uses; looked up again before they expire."""
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    # botocore renews credentials at least ten minutes before they expire.
    provider = Boto3CredentialProvider(boto3.DEFAULT_SESSION, ttl=timedelta(minutes=10))
    provider.config = {}  # it would set the region, which is the client's
    return provider


def _ca_bundle() -> bytes | None:
    """The certificates in AWS_CA_BUNDLE, or in the profile's ca_bundle; None if neither is set."""
    import botocore.session

    path = botocore.session.get_session().get_config_variable("ca_bundle")
    return Path(path).read_bytes() if path and Path(path).is_file() else None
