"""Prepares the object store: the bucket if it is missing, and the rights of the keys. python -m deploy.compose.bucket

It runs at each start, and alone has the store's root. The keys of .env are three, each with what its services need:

    OBJECT_STORE_ACCESS_KEY            scheduler and Spark workers: reads the bucket and SOURCE_BUCKETS, writes the lake
    OBJECT_STORE_READER_ACCESS_KEY     API server, Spark SQL, you: reads the lake
    OBJECT_STORE_UPLOADER_ACCESS_KEY   the demo, you: writes the bucket, but not the lake

MinIO gets users of these names. SeaweedFS reads the same from a file that seaweedfs.sh writes. A store of your own
(OBJECT_STORE_KIND is empty) is only asked for the bucket, with the services' key: its keys are made by whoever runs it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

LIST = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
READ = ["s3:GetObject"]
WRITE = ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:PutObject"]


def main(env: Mapping[str, str] = os.environ) -> None:
    bucket, _, lake = env["IMAGEFEATURES_LAKE"].removeprefix("s3://").partition("/")
    kinds = {"minio", "seaweedfs"} & set(env.get("OBJECT_STORE_KIND", "").split(","))
    root = (env["OBJECT_STORE_ROOT_USER"], env["OBJECT_STORE_ROOT_PASSWORD"]) if kinds else ("", "")
    make_bucket(bucket, *root)
    if "minio" in kinds:
        sources = [name.strip() for name in env.get("SOURCE_BUCKETS", "").split(",") if name.strip()]
        make_users(env, policies(bucket, lake, sources), *root)


def make_bucket(bucket: str, key: str, secret: str) -> None:
    """Make the bucket if it is missing. key, secret: empty for those of the environment."""
    client = boto3.client("s3", aws_access_key_id=key or None, aws_secret_access_key=secret or None)
    try:
        client.head_bucket(Bucket=bucket)
        print(f"bucket {bucket}: exists")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        client.create_bucket(Bucket=bucket)
        print(f"bucket {bucket}: created")


def policies(bucket: str, lake: str, sources: list[str]) -> dict[str, dict[str, Any]]:
    """The rights of the keys: prefix of their variables to a policy of S3. lake: the prefix of the lake in the bucket.

    >>> [list(policy["Statement"][-1]["Action"]) for policy in policies("b", "lake", []).values()][1]
    ['s3:GetObject']
    """
    everything, in_lake = f"{bucket}/*", f"{bucket}/{lake}/*"
    return {
        "OBJECT_STORE": _policy(
            _statement(LIST, bucket, *sources),
            _statement(READ, everything, *(f"{source}/*" for source in sources)),
            _statement(WRITE, in_lake),
        ),
        "OBJECT_STORE_READER": _policy(_statement(LIST, bucket), _statement(READ, in_lake)),
        "OBJECT_STORE_UPLOADER": _policy(
            _statement(LIST, bucket),
            _statement([*READ, *WRITE], everything),
            _statement(WRITE, in_lake, effect="Deny"),
        ),
    }


def make_users(env: Mapping[str, str], rights: dict[str, dict[str, Any]], key: str, secret: str) -> None:
    """Make a user of MinIO for each key, with these rights and no others. key, secret: of the store's root."""
    from minio import MinioAdmin
    from minio.credentials.providers import StaticProvider

    address = urlsplit(env["AWS_ENDPOINT_URL"])
    login = StaticProvider(key, secret)
    admin = MinioAdmin(endpoint=address.netloc, credentials=login, secure=address.scheme == "https")
    for prefix, policy in rights.items():
        user = env[f"{prefix}_ACCESS_KEY"]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "policy.json"
            file.write_text(json.dumps(policy))
            admin.policy_add(user, str(file))  # the policy has its user's name; one that is there is replaced
        admin.user_add(user, env[f"{prefix}_SECRET_KEY"])
        admin.policy_set(user, user=user)
        print(f"key {user}: may do what its services need")


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _statement(actions: list[str], *resources: str, effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Action": actions, "Resource": [f"arn:aws:s3:::{resource}" for resource in resources]}


if __name__ == "__main__":
    main()
