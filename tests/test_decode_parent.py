"""A decode process ends with its parent, also in the middle of an image that never ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from imagefeatures.settings import REPOSITORY
from support.shared import until

PARENT = """
import os, sys, threading, time
from imagefeatures.limits import Limits
from support import poison
from support.shared import PREPROCESSING
blob = open(sys.argv[1], 'rb').read()
decoder = poison.decoder()
arguments = ([blob], Limits(decode_seconds=60), PREPROCESSING)
threading.Thread(target=decoder.run, args=arguments, daemon=True).start()
while not (decoder._child and decoder._child.ready):
    time.sleep(0.01)
print(decoder._child.pid, flush=True)
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def seconds_at_work(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")  # in user mode


def test_a_child_that_is_at_work_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    from support import poison

    poison.lay_out(tmp_path / "photos", 1, {0: "hang"})
    environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"}
    command = [sys.executable, "-c", PARENT, str(tmp_path / "photos" / "00000.png")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            at_first = seconds_at_work(child)
            until(lambda: seconds_at_work(child) > at_first + 0.2, 60)  # it spins: it looks at no connection
            parent.kill()
            parent.wait()
            until(lambda: not is_running(child), 10)
        finally:
            parent.kill()
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
