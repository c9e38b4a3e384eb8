"""What stands on pages, in messages and in lists has no password and no signature, whatever its scheme."""

from __future__ import annotations

import pytest

from imagefeatures.reasons import without_secrets


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("https://me:word@host/1.jpg?X-Amz-Signature=x", "https://host/1.jpg?…"),
        ("HTTPS://me@host:8080/a@b.jpg#x", "HTTPS://host:8080/a@b.jpg?…"),
        ("http://[::1]:80/a@b.jpg", "http://[::1]:80/a@b.jpg"),
        ("http://host?token=x", "http://host?…"),
        ("ftp://u:p@host/1.jpg", "ftp://host/1.jpg"),
        ("gs://bucket/1.jpg?x=secret", "gs://bucket/1.jpg?…"),
        ("s3a://KEY:SECRET@b/k", "s3a://b/k"),
        ("s3://KEY:SE/CR?ET@bucket/k", "s3://bucket/k"),
        ("s3://bucket/a?b#c@d.jpg", "s3://bucket/a?b#c@d.jpg"),
        ("s3a://bucket/a?b#c@d.jpg", "s3a://bucket/a?b#c@d.jpg"),
        ("https://me:wo/rd@host/1.jpg", "https://host/1.jpg"),
        ("s3://bucket", "s3://bucket"),
        ("file:///photos/a?b#c@d.jpg", "file:///photos/a?b#c@d.jpg"),
        ("//me:word@host/1.jpg", "//host/1.jpg"),
        ("host/x?X-Amz-Signature=x", "host/x?…"),
        ("me:word@host/x", "host/x"),
        ("me:word@host/x?u=http://y", "host/x?…"),
        ("host/x?token=S&u=https://y", "host/x?…"),
        ("s3a://KEY:/ab@bucket/k", "s3a://bucket/k"),
        ("s3://KEY:12/ab@bucket/k", "s3://bucket/k"),
        ("photos/1.jpg", "photos/1.jpg"),
        ("", ""),
    ],
)
def test_user_password_query_and_fragment_are_left_out(uri: str, told: str) -> None:
    assert without_secrets(uri) == told
    assert without_secrets(told) == told
