"""The compiled code under sanitizers, and the interface of libjpeg as its own header declares it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from imagefeatures import streamed
from imagefeatures.settings import REPOSITORY
from support.resizing import can_be_compiled
from support.streaming import by_pillow, originals, outcome

CODE = REPOSITORY / "imagefeatures"
SANITIZED = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("imagefeatures._bicubic", sys.argv[1])
module = sys.modules["imagefeatures._bicubic"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

import numpy as np
from imagefeatures import bicubic, images
from support import inflating, resizing, streaming

assert bicubic.compiled.__file__ == sys.argv[1]
images.configure_pillow()
met, bad = streaming.compare(seed=100_000, count=int(sys.argv[2]))
print(met, file=sys.stderr)
if bicubic.compiled.vnni(True):  # that was VNNI
    bicubic.compiled.vnni(False)
    bad += streaming.compare(seed=200_000, count=int(sys.argv[2]) // 3)[1]
for vnni in (True, False):
    bicubic.compiled.vnni(vnni)
    for seed, (height, width) in enumerate(resizing.sizes()):
        image = resizing.noise(height, width, seed)
        if not np.array_equal(bicubic.resized(image, 224, 224), resizing.by_pillow(image)):
            bad.append((vnni, height, width))
if inflating.compare(int(sys.argv[2])) != {True, False}:
    bad.append("PNG")
print(bad, met["streamed"] > int(sys.argv[2]))
"""


def compiler(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["cc", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.long
@pytest.mark.skipif(not can_be_compiled(), reason="it cannot be compiled here")
def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    library = compiler("-print-file-name=libasan.so").stdout.strip()
    if not Path(library).is_absolute():
        pytest.skip("the compiler has no AddressSanitizer")
    module = tmp_path / "_bicubic.so"
    options = ["-shared", "-fPIC", "-g", "-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Wno-unused-parameter"]
    options += ["-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    sources = [str(source) for source in sorted(CODE.glob("_*.c"))]
    built = compiler(*options, f"-I{sysconfig.get_paths()['include']}", *sources, "-o", str(module), "-lm", "-ldl")
    assert not built.returncode, built.stderr
    folders = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
    environment = os.environ | {"PYTHONPATH": folders, "LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0"}
    command = [sys.executable, "-c", SANITIZED, str(module), "1500"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "[] True\n"), ended.stderr[-4000:]


INTERFACE = """
#include <stdio.h>
#include <jpeglib.h>
#include "_jpeg62.h"
#if JPEG_LIB_VERSION != 62
#error "another version of the interface"
#endif
_Static_assert(sizeof(Decompressor) == sizeof(struct jpeg_decompress_struct), "size");
_Static_assert(sizeof(ErrorManager) == sizeof(struct jpeg_error_mgr), "size of the error manager");
_Static_assert(HEADER_OK == JPEG_HEADER_OK && COLOURS_IN_FOUR == JCS_EXT_RGBX, "numbers");
"""


def members(struct: str) -> list[str]:
    """The names in a declaration that stand for something, of values and of functions."""
    body = re.sub(r"/\*.*?\*/", "", struct, flags=re.DOTALL)
    names = re.findall(r"\(\*(\w+)\)\(|[ *](\w+)(?=[,;])", re.sub(r"\)\([^)]*\)", ")(", body))
    return [first or second for first, second in names]


def test_the_interface_is_that_of_libjpegs_header(tmp_path: Path) -> None:
    header = (CODE / "_jpeg62.h").read_text()
    manager = header.partition("typedef struct {")[2].partition("} ErrorManager;")[0]
    decompressor = header.partition("struct Decompressor {")[2].partition("};")[0]
    assert "emit_message" in members(manager)
    assert {"err", "image_height", "output_components", "arith_code"} <= set(members(decompressor))
    program = INTERFACE
    for ours, theirs, names in (
        ("ErrorManager", "jpeg_error_mgr", members(manager)),
        ("Decompressor", "jpeg_decompress_struct", members(decompressor)),
    ):
        for name in names:
            same = f"offsetof({ours}, {name}) == offsetof(struct {theirs}, {name})"
            same += f" && sizeof((({ours} *)0)->{name}) == sizeof(((struct {theirs} *)0)->{name})"
            program += f'_Static_assert({same}, "{name}");\n'
    source = tmp_path / "interface.c"
    source.write_text("#include <stdio.h>\n#include <jpeglib.h>\n")
    if not can_be_compiled() or compiler("-fsyntax-only", str(source)).returncode:
        pytest.skip("libjpeg's header is not installed")
    source.write_text(program)
    ended = compiler("-fsyntax-only", f"-I{CODE}", str(source))
    if "another version" in ended.stderr:
        pytest.skip("libjpeg's header is that of another version")
    assert not ended.returncode, ended.stderr
    source.write_text(program.replace('"_jpeg62.h"', '"moved.h"'))
    (tmp_path / "moved.h").write_text(header.replace("char unnamed_2[68]", "char unnamed_2[64]"))
    assert 'static assertion failed: "output_width"' in compiler("-fsyntax-only", str(source)).stderr


@pytest.mark.skipif(streamed._stream is None, reason="it is not compiled here, or Pillow has no libjpeg")
def test_memory_does_not_grow_with_the_files() -> None:
    def decode_all() -> int:
        for _, data in originals():
            outcome(data)
            outcome(data[: len(data) // 2])
        return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0])

    for _, data in originals():
        assert outcome(data) == by_pillow(data)
    decode_all()
    before = decode_all()
    for _ in range(10):
        after = decode_all()
    # kB; the buffers of one such file are 200 to 800, and each is decoded twenty times. What else runs in this process
    # may grow by some thousands.
    assert after - before < 10_000
