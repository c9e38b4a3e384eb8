"""A client of Airflow's REST API over urllib, because Airflow's command line takes seconds to start."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from imagefeatures.errors import ImageFeaturesError


class ApiError(ImageFeaturesError):
    """Airflow refused a request. status: of HTTP. The text names the request and the reason."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """Airflow's REST API, used as the admin.

    address: http://host:port. password: returns the admin's password. It is called at the first request that needs
    it, because a server may generate the password only when it starts.
    """

    def __init__(self, address: str, password: Callable[[], str]) -> None:
        self.address = address
        self._password = password
        self._token: str | None = None

    @property
    def password(self) -> str:
        return self._password()

    def listening(self) -> bool:
        """Whether the server responds, whatever the other services do."""
        return self._health() is not None

    def healthy(self) -> bool:
        """Whether the server responds, and the scheduler and the DAG processor are alive."""
        health = self._health()
        needed = ("scheduler", "dag_processor")
        return health is not None and all(health[part]["status"] == "healthy" for part in needed)

    def cut_off_tasks(self) -> int:
        """How many tasks are in the hands of a scheduler, or of what it has started."""
        states = "&".join(f"state={state}" for state in ("queued", "running", "restarting"))
        found: int = self.get(f"/api/v2/dags/~/dagRuns/~/taskInstances?{states}&limit=1")["total_entries"]
        return found

    def get(self, path: str) -> Any:
        return self._request("GET", path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Send a POST request; repeat it while Airflow responds with 503 because its SQLite database is busy."""
        for pause in (1, 2, 4, 8):
            try:
                return self._request("POST", path, body)
            except ApiError as error:
                if error.status != 503:
                    raise
                time.sleep(pause)
        return self._request("POST", path, body)

    def put(self, path: str) -> Any:
        return self._request("PUT", path, {})

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        return self._request("PATCH", path, body)

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run."""
        found = self.get(f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances")
        tasks: list[dict[str, Any]] = found["task_instances"]
        return tasks

    def _health(self) -> dict[str, Any] | None:
        try:
            health: dict[str, Any] = self._request("GET", "/api/v2/monitor/health", token=False)
        except (OSError, ApiError, ValueError):  # also: something that answers, and is no Airflow
            return None
        return health

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None, *, token: bool = True) -> Any:
        headers = {"Content-Type": "application/json"}
        if token:
            if self._token is None:
                login = {"username": "admin", "password": self.password}
                self._token = self._request("POST", "/auth/token", login, token=False)["access_token"]
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers, method=method)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            reason = " ".join(error.read().decode(errors="replace").split())[:500]
            text = f"Airflow answers {error.code} to {method} {self.address}{path}: {reason}"
            raise ApiError(error.code, text) from None
