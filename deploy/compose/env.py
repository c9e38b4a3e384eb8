"""Writes .env, with a fresh secret for every line of .env.example that has no value: python -m deploy.compose.env

Runs on the host, on any Python 3, before anything is installed. An existing .env is never changed, except by
python -m deploy.compose.env --add-missing, which appends the lines that a newer version needs.
python -m deploy.compose.env --announce prints how to log in to the containers.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import secrets
import sys
from pathlib import Path

from deploy import private

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / ".env.example"
SECRET_LINE = re.compile(r"^([A-Z_]+)=$", re.MULTILINE)
FERNET_KEY = "AIRFLOW_FERNET_KEY"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.compose.env", description=__doc__)
    parser.add_argument("--announce", action="store_true", help="print the address, the user and where the password is")
    parser.add_argument("--add-missing", action="store_true", help="append what .env.example has and .env lacks")
    target = REPOSITORY / ".env"
    arguments = parser.parse_args()
    if arguments.add_missing and target.exists():
        added = add_missing(target)
        print(f".env: added {', '.join(added)}" if added else ".env has every variable already")
    elif arguments.announce:
        port = read(target).get("AIRFLOW_PORT", "8080")
        print(
            f"\n  Airflow   http://127.0.0.1:{port}\n  user      admin\n"
            "  password  AIRFLOW_ADMIN_PASSWORD in .env\n\nmake down-compose stops it."
        )
    elif target.exists():
        print(".env exists already")
    else:
        write(target)
        print(".env: created, with fresh secrets")
    return 0


def write(target: Path) -> None:
    """Write .env.example with fresh secrets to a file that only this user may read. Raises FileExistsError."""
    private.create(target, with_secrets(EXAMPLE.read_text(encoding="utf-8")))


def add_missing(target: Path) -> list[str]:
    """Append the variables that the example sets and the file does not, with fresh secrets. Returns their names.

    The file's own lines stay as they are.
    """
    text, known = target.read_text(encoding="utf-8"), read(target)
    lines = [f"{name}={value}" for name, value in read(EXAMPLE).items() if name not in known]
    if lines:
        private.write(
            target, text.rstrip("\n") + "\n\n# Added for a newer version.\n" + with_secrets("\n".join(lines) + "\n")
        )
    return [line.partition("=")[0] for line in lines]


def with_secrets(text: str) -> str:
    """The text of an env file, with a fresh secret in each line that has no value."""
    return SECRET_LINE.sub(lambda line: f"{line[1]}={fresh(line[1])}", text)


def fresh(name: str) -> str:
    """A fresh secret for that variable: hexadecimal, so that a URL, a shell and YAML need no quoting."""
    # Fernet, with which Airflow encrypts stored values, takes 32 bytes in this form only.
    return base64.urlsafe_b64encode(os.urandom(32)).decode() if name == FERNET_KEY else secrets.token_hex(20)


def names_of_secrets() -> list[str]:
    """The variables of .env.example that have no value."""
    return SECRET_LINE.findall(EXAMPLE.read_text(encoding="utf-8"))


def read(file: Path) -> dict[str, str]:
    """The variables of an env file."""
    lines = (line.partition("=") for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {name: value for name, separator, value in lines if separator}


if __name__ == "__main__":
    sys.exit(main())
