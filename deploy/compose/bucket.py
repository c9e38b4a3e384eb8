"""Make the bucket that the lake lies in, if it is missing: python -m deploy.compose.bucket"""

from __future__ import annotations

from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

from imagefeatures.settings import Settings


def main() -> None:
    bucket = urlsplit(Settings.from_env().lake).netloc
    store = boto3.client("s3")
    try:
        store.head_bucket(Bucket=bucket)
        print(f"bucket {bucket}: is there")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        store.create_bucket(Bucket=bucket)
        print(f"bucket {bucket}: made")


if __name__ == "__main__":
    main()
