"""libcurl in one process with other libraries that have a libcurl in them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from imagefeatures.settings import REPOSITORY
from support.hostile_http import Site, response

FETCH = """
import sys
import tensorflow
from imagefeatures.sources import Item
from imagefeatures.sources.http import HttpOptions, fetch_all
flags = sys.getdlopenflags()
(got,) = fetch_all([Item(sys.argv[1])], 1000, HttpOptions())
assert sys.getdlopenflags() == flags
print(got.data.decode())
"""


@pytest.mark.long  # TensorFlow takes seconds
def test_urls_are_fetched_in_a_process_that_has_prepared_a_model(host: Site) -> None:
    host.behaviours["/1.jpg"] = response(body=b"a picture")
    program = [sys.executable, "-c", FETCH, host.url("/1.jpg")]
    done = subprocess.run(program, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": ""}, capture_output=True, text=True)
    assert done.stdout == "a picture\n", done.stderr
