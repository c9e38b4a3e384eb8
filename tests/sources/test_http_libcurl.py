"""The HTTP client beside other libraries of its process."""

from __future__ import annotations

import subprocess
import sys

import pytest

AFTER_TENSORFLOW = """
import tensorflow
from imagefeatures.errors import Rejected
from imagefeatures.sources import http
from imagefeatures.sources.item import Item
(refused,) = http.fetch_all([Item("http://127.0.0.1/photo.jpg")], 1000, http.HttpOptions())
print(isinstance(refused, Rejected) and refused.reason)
"""


@pytest.mark.long  # TensorFlow takes seconds to load
def test_the_client_has_its_own_libcurl_where_tensorflow_was_loaded_first() -> None:
    done = subprocess.run([sys.executable, "-c", AFTER_TENSORFLOW], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("BLOCKED_ADDRESS\n", 0), done.stderr
