"""Photographs of Debian's wallpaper packages: downloaded once by apt, and kept unpacked in the cache folder.

The packages also hold drawings and renderings, which are not taken: they have less detail than a photo of their size.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

from imagefeatures.errors import InputError

SECONDS = 300
UNPACKED = "usr/share"

PACKAGES = {
    "lomiri-wallpapers-16.04": "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
    "lomiri-wallpapers-20.04": "d44e89b8473aafe64a5b678f014862dc31335aaaf18665c544d985d854f1a709",
    "mate-backgrounds": "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
    "plasma-workspace-wallpapers": "32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b",
}
"""Name of a package: SHA-256 of its file in Debian 12, so that the photos are the same everywhere. 168 MB together."""

PHOTOS = (
    *(
        f"backgrounds/{name}.jpg"
        for name in (
            "Bridge_by_Sander_Klootwijk",
            "Dragonfly_by_Bolly",
            "Kleiber_by_Lukas_Baubkus",
            "Picture_0B_by_freespace",
            "Wine_by_Jakkub_Mede",
            "aitzgorri_by_Aitzol_Berasategi",
            "free_by_Peter_Nerlich",
            "friends_by_Aitzol_Berasategi",
            "greentock_by_Peter_Nerlich",
            "life_by_Aitzol_Berasategi",
            "picosdeeuropa_by_Aitzol_Berasategi",
            "seeding_by_Clements_Engelhardt",
            "sunset_by_Aitzol_Berasategi",
        )
    ),
    *(
        f"backgrounds/mate/nature/{name}.jpg"
        for name in ("Aqua", "Blinds", "Dune", "Garden", "LadyBird", "RainDrops", "Storm", "TwoWings", "Wood")
    ),
    *(
        f"wallpapers/{name}/contents/images/2560x1600.jpg"
        for name in ("BytheWater", "ColdRipple", "ColorfulCups", "DarkestHour", "EveningGlow", "FallenLeaf", "Kite")
    ),
    *(f"wallpapers/{name}/contents/images/2560x1600.jpg" for name in ("OneStandsOut", "Path", "summer_1am")),
)
"""The photographs, below UNPACKED: 1.8 to 20 megapixels."""


def fetch_wallpapers(cache: Path) -> list[Path]:
    """The photographs' files, from the cache folder or downloaded into it. Needs apt and dpkg-deb, and no root.

    Raises InputError when a download fails or is another version of the package.
    """
    folder = cache / "photos" / "wallpapers"
    try:
        for package, sha256 in PACKAGES.items():
            if not (folder / package).is_dir():
                _unpack(package, sha256, folder)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise InputError(f"no wallpapers of Debian 12: {' '.join(str(error).split())[:300]}") from None
    return [next(folder.glob(f"*/{UNPACKED}/{photo}")) for photo in PHOTOS]


def label(photo: Path) -> str:
    """
    >>> label(Path("wallpapers/Path/contents/images/2560x1600.jpg")), label(Path("backgrounds/Wine_by_Jakkub_Mede.jpg"))
    ('path', 'wine')
    """
    name = photo.parts[-4] if photo.stem[0].isdigit() else photo.stem.partition("_by_")[0]
    return name.lower()


def _unpack(package: str, sha256: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unpacking-", dir=folder) as place:
        # apt's own user, as which root's apt downloads, cannot write into our folder.
        _run(["apt-get", "-qq", "-oAPT::Sandbox::User=root", "download", package], place)
        (archive,) = Path(place).glob("*.deb")
        if (found := hashlib.sha256(archive.read_bytes()).hexdigest()) != sha256:
            raise ValueError(f"{archive.name} has SHA-256 {found}, expected {sha256}")
        _run(["dpkg-deb", "--extract", str(archive), "unpacked"], place)
        (Path(place) / "unpacked").rename(folder / package)


def _run(command: list[str], place: str) -> None:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=SECONDS)  # noqa: S603
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip() or f'exit status {done.returncode}'}")
