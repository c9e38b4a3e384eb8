"""Whether a part of Airflow is alive, as the API server sees its heartbeats: python -m deploy.compose.healthy scheduler

Every service of Airflow is checked so. Airflow's own `airflow jobs check` says the same after seconds of imports.
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
        with urlopen(address, timeout=8) as answer:  # noqa: S310 - the deployment's own address
            status = json.load(answer)[part]["status"]
    except OSError as error:
        status = str(error)
    print(status)
    return 0 if status == "healthy" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
