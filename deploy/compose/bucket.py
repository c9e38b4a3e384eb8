"""Creates the lake's bucket if it is missing: python -m deploy.compose.bucket"""

from __future__ import annotations

from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

from imagefeatures.settings import Settings


def main() -> None:
    bucket = urlsplit(Settings.from_env().lake).netloc
    client = boto3.client("s3")
    try:
        client.head_bucket(Bucket=bucket)
        print(f"bucket {bucket}: exists")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        client.create_bucket(Bucket=bucket)
        print(f"bucket {bucket}: created")


if __name__ == "__main__":
    main()
