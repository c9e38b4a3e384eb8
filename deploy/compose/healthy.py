"""The health check of Airflow's services, by the heartbeats that the API server reports.

    python -m deploy.compose.healthy scheduler

Airflow's own `airflow jobs check` reports the same, but takes seconds to import.
"""

from __future__ import annotations

import json
import os
import sys
from urllib.parse import urljoin
from urllib.request import urlopen


def main(part: str) -> int:
    address = urljoin(os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"], "/api/v2/monitor/health")
    try:
        with urlopen(address, timeout=8) as response:  # noqa: S310 - the deployment's own address
            status = json.load(response)[part]["status"]
    except OSError as error:
        status = str(error)
    print(status)
    return 0 if status == "healthy" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
