"""JPEGs that are decoded row by row have Pillow's pixels, and what is rejected has Pillow's reason."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefeatures import images, isolation, streamed
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import RGB, Chains, Preprocessing, Stretch, Upright
from imagefeatures.settings import REPOSITORY
from support.photos import encoded, picture, real_photos, turned
from support.shared import PREPROCESSING
from support.streaming import by_pillow, compare, in_three_scans, originals, outcome, random_jpeg

LIMITS = Limits()

connected = pytest.mark.skipif(streamed._stream is None, reason="it is not compiled here, or Pillow has no libjpeg")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The answers of the compiled code from now on: whether it has decoded a file."""
    streamed._is_pillows(224)
    answers: list[bool] = []
    ask = streamed._stream

    def noted(*given: object) -> bool:
        answers.append(ask(*given))
        return answers[-1]

    monkeypatch.setattr(streamed, "_stream", noted)
    return answers


@connected
@pytest.mark.usefixtures("instructions")
def test_random_and_mutated_jpegs_have_the_same_pixels_or_the_same_reason() -> None:
    met, bad = compare(seed=0, count=150)
    assert not bad
    assert met["streamed"] > 150
    assert {"random: passed", "mutated: passed", "mutated: CORRUPT", "mutated: TRUNCATED"} <= set(met)


@connected
@pytest.mark.long
def test_thousands_of_them_do() -> None:
    met, bad = compare(seed=1000, count=5000)
    print(met)
    assert not bad


@connected
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("path", real_photos(), ids=lambda path: path.stem)
def test_a_photo_is_streamed_upright(path: Path, orientation: int, asked: list[bool]) -> None:
    data = encoded(Image.open(path), exif=turned(orientation), quality=92)
    assert outcome(data) == by_pillow(data)
    assert outcome(data)[1:3] == ((640, 427) if orientation < 5 else (427, 640))
    assert asked == [True, True]


@connected
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (223, 1), (1, 900), (224, 224), (671, 448), (673, 448)])
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_any_size_is_streamed(height: int, width: int, orientation: int, asked: list[bool]) -> None:
    data = encoded(picture(width, height), exif=turned(orientation))
    assert outcome(data) == by_pillow(data)
    assert asked == [True]


@connected
def test_a_file_cut_anywhere_has_the_same_reason(asked: list[bool]) -> None:
    data = encoded(picture(300, 200), quality=90, restart_marker_blocks=7)
    for cut in range(4, len(data), 97):
        assert outcome(data[:cut]) == by_pillow(data[:cut])
    assert not any(asked)
    assert len(asked) > 20  # where the header is whole


@connected
@pytest.mark.parametrize("change", [b"\0", b"\xff\xd9", b"\xff\xd0", b"\xff\xda"])
def test_a_file_with_other_bytes_in_its_pixels_has_the_same_end(change: bytes) -> None:
    data = encoded(picture(300, 200), quality=90, restart_marker_blocks=7)
    start = data.index(b"\xff\xda") + 20
    for at in range(start, len(data), (len(data) - start) // 40):
        bad = data[:at] + change + data[at + len(change) :]
        assert outcome(bad) == by_pillow(bad)


UNUSUAL = {
    "progressive": encoded(picture(300, 200), progressive=True),
    "CMYK": encoded(Image.fromarray(np.dstack([picture(90, 60), picture(90, 60, 1)[..., 0]]), "CMYK")),
    "in three scans": in_three_scans(300, 200),
    "warned of": encoded(picture(300, 200)).replace(b"\xff\xd9", bytes(40) + b"\xff\xd9"),
}


@connected
@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL)
def test_an_unusual_file_is_left_to_pillow(data: bytes, asked: list[bool]) -> None:
    assert outcome(data) == by_pillow(data)
    assert outcome(data)[0] == "passed"
    assert not any(asked)


@connected
def test_several_pictures_in_one_file_give_the_first(asked: list[bool]) -> None:
    frames = [Image.fromarray(picture(300, 200, seed)) for seed in range(3)]
    data = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert outcome(data) == by_pillow(data)
    assert asked == [True]


@pytest.mark.parametrize(
    "rule",
    [
        Preprocessing(chain=(Upright(), RGB(), Stretch(height=224, width=225))),
        Preprocessing(chain=(RGB(), Stretch(height=224, width=224))),
        Chains((PREPROCESSING, Preprocessing.standard(96, 96))),
    ],
)
def test_another_chain_decodes_by_pillow(rule: Preprocessing, asked: list[bool]) -> None:
    data = encoded(picture(300, 200), exif=turned(6))
    pillow = Image.open(io.BytesIO(data))
    np.testing.assert_array_equal(images.decode(data, LIMITS, rule).pixels, rule(pillow))
    assert not asked


@connected
@pytest.mark.parametrize(
    ("shape", "orientation", "room", "side"),
    [
        ((0, 5, 3), 1, 48, 4),
        ((5, 70_000, 3), 1, 48, 4),
        ((5, 5, 4), 1, 48, 4),
        ((5, 5, 3), 0, 48, 4),
        ((5, 5, 3), 9, 48, 4),
        ((5, 5, 3), 1, 47, 4),
        ((5, 5, 3), 1, 27, 3),
    ],
)
def test_what_cannot_be_is_refused(shape: tuple[int, int, int], orientation: int, room: int, side: int) -> None:
    with pytest.raises(ValueError, match="not possible"):
        streamed._stream(encoded(picture(5, 5)), shape, orientation, bytearray(room), side)


@connected
def test_a_file_of_another_size_than_pillow_read_is_not_streamed() -> None:
    out = bytearray(224 * 224 * 3)
    grey = encoded(picture(30, 20)[..., 0])
    for data, shape in ((encoded(picture(30, 20)), (30, 20, 3)), (grey, (20, 30, 3)), (b"", (20, 30, 3))):
        assert not streamed._stream(data, shape, 1, out, 224)


# In the decode process


def megabytes(pid: int, what: str) -> float:
    """VmHWM or VmRSS of a process."""
    return int(Path(f"/proc/{pid}/status").read_text().partition(f"{what}:")[2].split()[0]) / 1024


@connected
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_decode_process_never_holds_the_whole_picture(orientation: int) -> None:
    process = isolation.Isolated(images.decode)
    pid = int(process.run([random_jpeg(random.Random(1))], LIMITS, PREPROCESSING).pid[0])
    before = megabytes(pid, "VmHWM")
    data = encoded(np.full((4000, 6000), 9, np.uint8), exif=turned(orientation))  # 92 MB in four bytes a pixel
    batch = process.run([data], LIMITS, PREPROCESSING)
    assert batch.records[0]["state"] == isolation.DONE
    assert (batch.pixels[0] == 9).all()
    assert int(batch.pid[0]) == pid
    assert megabytes(pid, "VmHWM") - before < 30
    process.stop()


@pytest.fixture(scope="module")
def long_noise() -> bytes:
    """A JPEG of 26 megapixels that takes a fifth of a second and more."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 8000), np.uint8)
    return encoded(np.tile(noise, (50, 1)), quality=75)


@connected
@pytest.mark.parametrize(("number", "reason"), [(signal.SIGKILL, "OUT_OF_MEMORY"), (signal.SIGSEGV, "DECODER_CRASHED")])
def test_a_decode_process_killed_in_mid_stream_costs_that_image_alone(
    number: signal.Signals, reason: str, long_noise: bytes
) -> None:
    process = isolation.Isolated(images.decode)
    pid = int(process.run([random_jpeg(random.Random(1))], LIMITS, PREPROCESSING).pid[0])
    memory: list[float] = []

    def kill() -> None:
        begun = cpu_ticks(pid)
        while cpu_ticks(pid) < begun + 10:
            time.sleep(0.001)
        memory.append(megabytes(pid, "VmRSS"))
        os.kill(pid, number)

    threading.Thread(target=kill, daemon=True).start()
    before = megabytes(pid, "VmRSS")
    batch = process.run([originals()[0][1], long_noise, originals()[1][1]], LIMITS, PREPROCESSING)
    assert [int(state) for state in batch.records["state"]] == [isolation.DONE, isolation.REJECTED, isolation.DONE]
    assert isolation.rejection(batch.records[1]).reason == reason
    # It was streaming: beside the file and its copy Pillow would hold 24 MB, and later 98.
    assert memory[0] - before < 15 + 2 * len(long_noise) / 2**20
    process.stop()


@connected
def test_an_image_that_takes_too_long_in_mid_stream_is_late(long_noise: bytes) -> None:
    batch = isolation.Isolated(images.decode).run([long_noise], Limits(decode_seconds=0.1), PREPROCESSING)
    assert isolation.rejection(batch.records[0]).reason == "TIMEOUT"


def cpu_ticks(pid: int) -> int:
    """The processor time of a process, in hundredths of a second."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


SHORT_OF_MEMORY = """
import resource, sys
from imagefeatures import images, streamed
from support.streaming import by_pillow, originals, outcome

images.configure_pillow()
file = open(sys.argv[1], "rb").read()
outcome(originals()[0][1])
ask, answers = streamed._stream, []
streamed._stream = lambda *given: answers.append(ask(*given)) or answers[-1]
used = int(open("/proc/self/status").read().partition("VmData:")[2].split()[0]) * 1024
for room in (0, 4, 8, 24, 48):
    resource.setrlimit(resource.RLIMIT_DATA, (used + room * 2**20, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    found, expected = outcome(file), by_pillow(file)
    assert found == expected or (answers[-1] and expected[0] == "OUT_OF_MEMORY"), (room, found[:2], expected[:2])
    print(found[0], answers[-1])
"""


@connected
def test_where_memory_is_short_the_reason_is_pillows_or_the_picture_is_whole(tmp_path: Path) -> None:
    ramp = np.arange(60_000).astype(np.uint8)
    file = tmp_path / "wide.jpg"
    file.write_bytes(encoded(np.tile(ramp, (400, 1)), exif=turned(6)))  # of which the filter keeps 64 rows
    command = [sys.executable, "-c", SHORT_OF_MEMORY, str(file)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert set(ended.stdout.splitlines()) == {"OUT_OF_MEMORY False", "passed True"}, ended.stderr
