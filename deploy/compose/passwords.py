"""Writes the file from which Airflow's Simple auth manager reads the admin's password.

    python -m deploy.compose.passwords

Without the file Airflow would generate a password and print it to its log.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from deploy import private


def main() -> None:
    path = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    private.write(path, json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))


if __name__ == "__main__":
    main()
