"""Peak memory of the workers over a shard of URLs, whose sizes nobody knew when it was cut."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from imagefeatures import manifest, steps
from imagefeatures.settings import REPOSITORY
from imagefeatures.shards import read_receipts
from support.hostile_http import Request, Site, response, site
from support.shared import MakeRun

URLS = 200
SIDE = 1672
"""Of a square image, in pixels: 8 MiB of a BMP file."""

MOST_MIB = {steps.INGEST: 668, steps.VALIDATE: 668, steps.RESIZE: 668}
"""700 MB, what docs/performance.md says of every worker. All bodies together are 1,600 MiB."""

STEP = """
import sys
from benchmarks.memory import peak_mib
from imagefeatures.plan import load_run
from imagefeatures.step_runner import StepRunner
StepRunner()(load_run(sys.argv[1]), sys.argv[2], 0)
print(peak_mib())
"""


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A host with another image of 8 MiB at each path. The first one comes late: others are held until then."""
    monkeypatch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.1/32")
    sink = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(sink, "BMP")
    bitmap = sink.getvalue()

    def answer(request: Request) -> bytes:
        number = int(request.target[1:])
        if number == 0:
            time.sleep(3)
        return response(body=bitmap[:-4] + struct.pack("<I", number))

    with site("127.0.0.1", {f"/{number}": answer for number in range(URLS)}) as made:
        yield made


@pytest.mark.long
def test_a_worker_holds_a_bounded_part_of_a_shard_of_large_urls(
    large: Site, make_run: MakeRun, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """200 URLs of 8 MiB in one shard, of which a folder would have 8. Takes half a minute on a quiet machine."""
    listed = tmp_path_factory.mktemp("list") / "urls.txt"
    listed.write_text("".join(f"{large.url(f'/{number}')}\n" for number in range(URLS)))
    http = {"requests_per_second": None, "connections_per_host": 64}
    source = {"kind": "uri_list", "uri": f"file://{listed}", "http": http}
    run = make_run(source)
    assert manifest.list_source(run, workers=0).shards == 1
    peaks = {}
    for step in MOST_MIB:
        command = [sys.executable, "-c", STEP, run.layout.run_file, step]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        peaks[step] = round(float(done.stdout))
        (receipt,) = read_receipts(run.layout, step)
        assert (receipt.rows_in, receipt.passed) == (URLS, URLS)
    with capsys.disabled():
        print(f" {json.dumps(peaks)} MiB ", end="")
    for step, most in MOST_MIB.items():
        assert 100 < peaks[step] < most, step
