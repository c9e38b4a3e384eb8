"""The driver's peak memory while ingest lists a large source and writes its manifest.

    python -m benchmarks.listing [keys]

A server on this machine lists as many keys as asked for, page by page: 1,000,000 by default.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from benchmarks.memory import peak_mib

PAGE = 1000
NO_CREDENTIALS = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"), "none")
"""For the server here, which checks none."""
PHOTO = (
    "<Contents><Key>{keys}/camera-{camera:02d}/photo {number:08d}.jpg</Key>"
    "<Size>{size}</Size><ETag>{number:032x}</ETag></Contents>"
)


class _Lister(BaseHTTPRequestHandler):
    """Responds to list_objects_v2 of the prefix `<n>/` with n keys."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        keys, start = int(query["prefix"].rstrip("/")), int(query.get("continuation-token", 0))
        end = min(start + PAGE, keys)
        contents = "".join(
            PHOTO.format(keys=keys, camera=number * 16 // keys, number=number, size=10_000 + number % 9973)
            for number in range(start, end)
        )
        more = f"<IsTruncated>{'true' if end < keys else 'false'}</IsTruncated>"
        token = f"<NextContinuationToken>{end}</NextContinuationToken>"
        body = f"<ListBucketResult><Name>photos</Name>{more}{token}{contents}</ListBucketResult>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def endless_store() -> Iterator[str]:
    """A server that lists any number of keys. Yields its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Lister) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:  # without it an exception would wait for the server for ever
            server.shutdown()
            thread.join()


def main(keys: int) -> None:
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as lake, endless_store() as address:
        env = os.environ | NO_CREDENTIALS | {"AWS_ENDPOINT_URL": address, "IMAGEFEATURES_LAKE": f"file://{lake}"}
        command = [sys.executable, "-m", "benchmarks.listing", "list", str(keys)]
        objects, seconds, peak = subprocess.check_output(command, env=env, text=True).split()  # noqa: S603 - this module
    print(f"{float(objects):,.0f} keys listed in {float(seconds):.0f} s, {float(peak):.0f} MiB of memory at most")


def list_keys(keys: int) -> None:
    """List the keys; print the number of objects, the seconds, and this process's peak resident memory in MiB."""
    from imagefeatures import manifest
    from imagefeatures.datasets import Dataset
    from imagefeatures.plan import load_run, plan_run
    from imagefeatures.run_params import RunParams
    from imagefeatures.settings import Settings

    dataset = Dataset.model_validate({"name": "photos", "source": f"s3://photos/{keys}/", "pattern": ["*.jpg"]})
    run = load_run(plan_run(dataset, RunParams.parse({}), "2026-11-02", Settings.from_env()))
    start = time.perf_counter()
    listing = manifest.list_source(run, workers=2)
    seconds = time.perf_counter() - start
    print(listing.objects, seconds, peak_mib())


if __name__ == "__main__":
    if sys.argv[1:2] == ["list"]:
        list_keys(int(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
