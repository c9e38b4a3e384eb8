"""Small objects in bulk, through obstore: a seventh of boto3's processor time for each.

It asks once, and only ever answers with bytes. What it does not answer is asked again of boto3, whose errors say
more: a refusal, a version that is gone, a key that obstore does not take, a store it cannot talk to.
"""

from __future__ import annotations

import logging
import re
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

from imagefeatures.storage.retry import ATTEMPT_SECONDS, CONNECT_SECONDS, STALL_SECONDS, Transient

LARGEST_BYTES = 16 << 20
"""What is larger goes by boto3: there a client's own cost no longer shows, and a try may take longer."""

TRIES_WITHOUT_SUCCESS = 50
"""After so many in a row obstore is not asked again: boto3 alone knows how to reach this store."""


class BulkReader:
    """GETs of one bucket, set up as a boto3 client is: the same address, region and credentials.

    Raises ValueError where obstore cannot be set up so: a bucket of no plain name, no credentials.
    """

    def __init__(self, bucket: str, client: Any) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", bucket):
            raise ValueError(f"{bucket}: obstore does not know such buckets")  # a space: it panics
        self._bucket = bucket
        self._store = _open(bucket, client)
        self._lock = threading.Lock()
        self._failed_in_a_row = 0

    def get(self, key: str, etag: str, size: int) -> bytes | None:
        """The bytes of this version of a key; None when boto3 has to be asked.

        Raises Transient for what may pass, so that boto3 is not asked at once.
        """
        if size > LARGEST_BYTES or key != key.strip("/") or self._failed_in_a_row >= TRIES_WITHOUT_SUCCESS:
            return None  # obstore drops a slash at either end of a key; what else it does not take, it refuses
        import obstore
        from obstore.exceptions import BaseError, GenericError, PreconditionError

        try:
            answer = obstore.get(self._store, key, options={"if_match": f'"{etag}"'})
            same = answer.meta["path"] == key and (answer.meta["e_tag"] or "").strip('"') == etag
            data = answer.bytes().to_bytes() if same else None
        except GenericError as error:
            self._failed()
            raise Transient(str(error).splitlines()[0]) from None
        except (FileNotFoundError, PreconditionError, ValueError):  # gone, another version, no key for obstore
            return None
        except (BaseError, OSError):  # not allowed, or so it says
            self._failed()
            return None
        except BaseException as panic:
            if type(panic).__name__ != "PanicException":  # Rust's, which is no Exception
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


def _open(bucket: str, client: Any) -> Any:
    from obstore.store import S3Store

    endpoint, region = client.meta.endpoint_url, client.meta.region_name
    options: dict[str, Any] = {
        "allow_http": endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=STALL_SECONDS),  # a body that stands still
        "timeout": timedelta(seconds=ATTEMPT_SECONDS),  # a body that drips
    }
    if bundle := _ca_bundle():
        options["root_certificate"] = bundle
    # obstore reads the environment by rules of its own; what is given here wins over that.
    return S3Store(
        bucket,
        endpoint=endpoint,
        aws_endpoint_url_s3=endpoint,
        region="us-east-1" if region in (None, "aws-global") else region,
        virtual_hosted_style_request=False,
        skip_signature=False,
        credential_provider=_credentials(),
        client_options=options,
        retry_config={"max_retries": 0, "retry_timeout": timedelta(0)},  # our own patience decides
    )


def _credentials() -> Any:
    """boto3's own, wherever it found them; looked up again in time, should they expire."""
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    # botocore renews credentials at the latest ten minutes before their end.
    provider = Boto3CredentialProvider(boto3.DEFAULT_SESSION, ttl=timedelta(minutes=10))
    provider.config = {}  # the region: it is the client's
    return provider


def _ca_bundle() -> bytes | None:
    """The certificates of AWS_CA_BUNDLE, or of the profile's ca_bundle."""
    import botocore.session

    path = botocore.session.get_session().get_config_variable("ca_bundle")
    return Path(path).read_bytes() if path and Path(path).is_file() else None
