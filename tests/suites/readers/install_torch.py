"""PyTorch for the processor alone, in a folder of its own: install_torch.py FOLDER. For `make test-readers`.

The package index has PyTorch for Linux with CUDA alone. To be imported it wants a dozen of NVIDIA's libraries, 2.4 GB,
of which it calls one without a GPU. That one is installed. The others are made here: each has the name and the
functions that PyTorch's libraries ask for, and a function that is called ends the process. The processor's side of
PyTorch is whole. On other systems PyTorch asks for none of them, and nothing is made.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[3] / "requirements" / "torch.txt"
OURS_TO_MAKE = re.compile(r"lib(?:cu|nv|nccl)(?!dart)\S*\.so\S*")
FUNCTIONS = re.compile(r"((?:cu|nccl|nv)\w+)(?:@+(?!libcudart)\S+)?")


def main(folder: Path) -> None:
    """Fill the folder anew."""
    shutil.rmtree(folder, ignore_errors=True)
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--target",
        str(folder),
    ]
    subprocess.run([*install, "-r", str(REQUIREMENTS)], check=True)
    libraries, functions = wanted(folder / "torch" / "lib")
    if not libraries:
        return
    place = next(folder.glob("nvidia/**/libcudart.so.*")).parent
    source = place / "absent.c"
    bodies = "".join(f"void {name}(void) {{ abort(); }}\n" for name in sorted(functions))
    source.write_text(f"#include <stdlib.h>\n{bodies}")
    for library in sorted(libraries):
        options = ["-w", "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", str(place / library)]
        subprocess.run(["cc", *options, str(source)], check=True)


def wanted(place: Path) -> tuple[set[str], set[str]]:
    """The names of the libraries, and of their functions, that PyTorch's own libraries ask for."""
    # PyTorch looks for these two by name, although none of its libraries asks for them.
    libraries, functions = {"libnvJitLink.so.13", "libnvrtc-builtins.so.13"}, set()
    own = sorted(place.glob("*.so*"))
    for library in own:
        needed = re.findall(r"NEEDED.*\[(.+)\]", readelf("-d", library))
        libraries |= {name for name in needed if OURS_TO_MAKE.fullmatch(name)}
        symbols = [line.split() for line in readelf("--dyn-syms", library).splitlines()]
        missing = [match for row in symbols if row[6:7] == ["UND"] and (match := FUNCTIONS.fullmatch(row[7]))]
        functions |= {match[1] for match in missing}
    return (libraries, functions) if own and sys.platform == "linux" else (set(), set())


def readelf(option: str, library: Path) -> str:
    return subprocess.run(["readelf", "-W", option, library], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))
