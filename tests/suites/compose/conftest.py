"""The figures of the run, under pytest's own last lines."""

from __future__ import annotations

import pytest

from support.containers import figures


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("figures")
    for line in figures:
        terminalreporter.write_line(line)
