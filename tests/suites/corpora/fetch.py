"""The test images of eight imaging libraries, taken from their source releases: downloaded once, verified, kept.

Nothing of a release is built or run: its archive is read, and the files of its image folders are unpacked.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from imagefeatures.errors import InputError

PILLOW = "pillow==13.0.0"
PILLOW_SHA256 = "cdcd1ba258178f7356d74170c9a81ba4eab6a5d55748bc402a5a2a6fe6be3510"
SECONDS = 300


@dataclass(frozen=True)
class Corpus:
    """name: what it is called here. package: Debian's source package; None = Pillow's own release.

    folders: which of the archive's folders hold images; all files in them are taken, whatever their names.
    """

    name: str
    package: str | None
    folders: tuple[str, ...]


CORPORA = (
    Corpus("pillow", None, ("Tests/images",)),
    Corpus("libpng", "libpng1.6", ("contrib/pngsuite", "contrib/testpngs")),
    Corpus("gdk-pixbuf", "gdk-pixbuf", ("tests/test-images",)),
    Corpus("libvips", "vips", ("test/test-suite/images",)),
    Corpus("libtiff", "tiff", ("test/images", "test/refs")),
    Corpus("libjpeg-turbo", "libjpeg-turbo", ("testimages",)),
    Corpus("libheif", "libheif", ("fuzzing/corpus", "examples")),
    Corpus("kimageformats", "kimageformats", ("autotests",)),
)


def fetch_archives(cache: Path) -> dict[str, Path]:
    """The source release of each corpus, from the cache folder or downloaded into it. Raises InputError."""
    folder = cache / "corpora"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        kept = _kept(folder)
        if missing := [corpus for corpus in CORPORA if corpus.name not in kept]:
            debian = [corpus for corpus in missing if corpus.package]
            kept |= _from_debian(debian, folder) if debian else {}
            kept |= {corpus.name: _from_index(folder) for corpus in missing if not corpus.package}
            sums = {name: [path.name, _sha256(path)] for name, path in kept.items()}
            (folder / "sha256.json").write_text(json.dumps(sums, indent=1))
    except (OSError, subprocess.SubprocessError, LookupError, ValueError) as error:
        raise InputError(f"no corpora: {' '.join(str(error).split())[:300]}") from None
    return kept


def unpack(archive: Path, folders: tuple[str, ...], into: Path) -> list[Path]:
    """Unpack the regular files of these folders. Returns their paths below `into`, without the release's own folder."""
    found = []
    with tarfile.open(archive) as tar:
        for member in tar:
            _, _, name = member.name.partition("/")
            if member.isfile() and name.startswith(tuple(f"{folder}/" for folder in folders)):
                tar.extract(member.replace(name=name), into, filter="data")  # which refuses what would lie elsewhere
                found.append(Path(name))
    return found


def _kept(folder: Path) -> dict[str, Path]:
    """What an earlier run downloaded, as long as it is what it was."""
    sums = folder / "sha256.json"
    recorded = json.loads(sums.read_text()) if sums.is_file() else {}
    kept = {name: folder / file for name, (file, _) in recorded.items()}
    return {name: path for name, path in kept.items() if path.is_file() and _sha256(path) == recorded[name][1]}


def _from_index(folder: Path) -> Path:
    """Pillow's source release. uv says where it lies; pip would run the release's build to learn its name."""
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as place:
        lock = Path(place) / "pylock.toml"
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        command = [uv, "pip", "compile", "-", "--quiet", "--no-deps", "--format", "pylock.toml", "-o", str(lock)]
        _run([*command, "--python", sys.executable], place, stdin=PILLOW)
        (package,) = tomllib.loads(lock.read_text())["packages"]
    with urllib.request.urlopen(package["sdist"]["url"], timeout=SECONDS) as answer:
        data = answer.read()
    return _keep(folder, f"{PILLOW.replace('==', '-')}.tar.gz", data, PILLOW_SHA256)


def _from_debian(corpora: list[Corpus], folder: Path) -> dict[str, Path]:
    """The upstream archives of Debian's source packages, by apt: it checks the archive's signature and every hash.

    With lists of its own, made from the machine's own sources, so that nothing of the machine's apt is changed.
    """
    packages = [str(corpus.package) for corpus in corpora]
    found = {}
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as place:
        apt = _apt_with_sources(Path(place))
        subprocess.run([*apt, "update"], cwd=place, capture_output=True, timeout=SECONDS)  # a failure shows below
        told = _run([*apt, "source", "--tar-only", "--print-uris", *packages], place)
        _run([*apt, "source", "--tar-only", "--download-only", *packages], place)
        offered = re.findall(r"^'[^']+' (\S+) \d+ SHA256:([0-9a-f]{64})$", told, re.MULTILINE)
        for corpus in corpora:
            ((name, sha256),) = [(n, s) for n, s in offered if n.startswith(f"{corpus.package}_")]
            found[corpus.name] = _keep(folder, name, (Path(place) / name).read_bytes(), sha256)
    return found


def _apt_with_sources(place: Path) -> list[str]:
    for folder in ("sources.d", "lists/partial", "cache/archives/partial"):
        (place / folder).mkdir(parents=True)
    machine = Path("/etc/apt")
    for path in [machine / "sources.list", *machine.glob("sources.list.d/*")]:
        if path.suffix in (".list", ".sources") and path.is_file():
            text = re.sub(r"(?m)^deb(?=[ \t])", "deb-src", path.read_text())
            (place / "sources.d" / path.name).write_text(re.sub(r"(?m)^Types:.*", "Types: deb-src", text))
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": f"{place}/sources.d",
        "Dir::State::lists": f"{place}/lists",
        "Dir::Cache": f"{place}/cache",
        "APT::Sandbox::User": "root",  # its own user cannot look into our folder
    }
    return ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]


def _run(command: list[str], place: str, stdin: str = "") -> str:
    done = subprocess.run(command, cwd=place, input=stdin, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode:
        raise OSError(f"{Path(command[0]).name}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout


def _keep(folder: Path, name: str, data: bytes, sha256: str) -> Path:
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        raise ValueError(f"{name} has SHA-256 {found}, expected {sha256}")
    path = folder / name
    draft = path.with_suffix(".part")
    draft.write_bytes(data)
    return draft.replace(path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
