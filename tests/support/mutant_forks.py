"""The processes that run tests for `support.mutants`: forks of one that has imported libraries, or found the tests too.

The second kind is much quicker, as most of a mutant's time goes into imports. A fork of it has our modules without the
mistake, and gives the function that differs the code of the mutant: `from … import …` has it in many places, but it is
one object. A constant is put in place of the old one wherever it has its name. What else runs at import is not
repeated, so a mistake there wants a fork of the first kind.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest

from support.mutant_plans import Chosen

TESTS_FAILED = 1
INTERNAL_ERROR, NO_TESTS = 3, 5
"""Exit statuses of pytest. The last two say nothing about a mutant."""

CANNOT_CHANGE = 70
"""Exit status of a fork in which the mutant's function cannot be put in place of the module's."""


@dataclass(frozen=True)
class Cold:
    """folder: the copy of the repository, in which a fork of this process runs pytest."""

    folder: Path

    def run(self, order: dict[str, Any], seconds: float) -> int | None:
        """Run tests as `order` says (`Chosen`). Returns pytest's exit status; None where time was up."""

        def tests() -> int:
            chosen = Chosen(**order)
            status = _pytest(["-x", *_files(chosen)], chosen)
            chosen.write_notes()
            return status

        return _in_fork(tests, self.folder, seconds)


class Warm:
    """A process that has found all tests of some files, and forks for each order."""

    def __init__(self, folder: Path, files: list[str]) -> None:
        self.folder = folder
        self._orders, theirs = Pipe()
        sys.stdout.flush()
        self._process = os.fork()
        if not self._process:
            self._orders.close()
            _end_with(lambda: _pytest(files, _Server(folder, theirs)), folder, folder.parent / "tmp-warm")
        theirs.close()

    def run(self, order: dict[str, Any], seconds: float) -> int | None:
        """As `Cold.run`. An order may have "changed": a file, and the function or constant that the fork takes."""
        self._orders.send((order, seconds))
        try:
            return self._orders.recv()
        except EOFError:
            log = (self.folder.parent / "log.txt").read_text(encoding="utf-8")
            raise SystemExit(f"the tests cannot be found:\\n{log[-6000:]}") from None

    def close(self) -> None:
        self._orders.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


class _Server:
    """A pytest plugin: in place of running the tests that were found, it forks for orders."""

    def __init__(self, folder: Path, orders: Connection) -> None:
        self._folder, self._orders = folder, orders
        self._at_import: dict[str, set[str]] = defaultdict(set)
        self._functions: dict[tuple[str, str], list[FunctionType]] = defaultdict(list)
        sys.settrace(self._note)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        if frame.f_code.co_filename.startswith(str(self._folder)):
            self._at_import[frame.f_code.co_filename].add(frame.f_code.co_qualname)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        sys.settrace(None)
        for found in gc.get_objects():
            if type(found) is FunctionType and found.__code__.co_filename.startswith(str(self._folder)):
                self._functions[found.__code__.co_filename, found.__code__.co_qualname].append(found)
        gc.freeze()  # what is here already stays: no fork has to look through it
        with contextlib.suppress(EOFError):
            while True:
                order, seconds = self._orders.recv()
                changed = order.pop("changed", None)

                def tests(order: dict[str, Any] = order, changed: tuple[str, str] | None = changed) -> int:
                    try:
                        if changed and not self._change(*changed):
                            return CANNOT_CHANGE
                    except Exception:
                        return TESTS_FAILED
                    return self._run(session, Chosen(**order, at_import=self._at_import))

                self._orders.send(_in_fork(tests, self._folder, seconds))
        return True

    def _change(self, file: str, name: str) -> bool:
        """Give a function, or a constant, what it has in the file now. False where it cannot be told which that is."""
        module = compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)
        ours = self._functions.get((file, name), [])
        if not ours and name.isidentifier():
            return _change_constant(module, name)
        codes = [code for code in _codes(module) if code.co_qualname == name]
        starts = sorted({function.__code__.co_firstlineno for function in ours})
        if len(starts) != len(codes) or not codes:
            return False
        new = dict(zip(starts, sorted(codes, key=lambda code: code.co_firstlineno), strict=True))
        try:
            for function in ours:
                function.__code__ = new[function.__code__.co_firstlineno]
        except ValueError:  # another number of variables of the scope around it
            return False
        return True

    def _run(self, session: pytest.Session, chosen: Chosen) -> int:
        session.config.pluginmanager.register(chosen)
        items = chosen.of(session.items)
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if chosen.failed and not chosen.traced:
                break
        chosen.write_notes()
        return NO_TESTS if not items else int(bool(chosen.failed))


def _change_constant(module: CodeType, name: str) -> bool:
    """Raises what the import of the module would raise: with such a mistake every test fails."""
    loaded = [one for one in list(sys.modules.values()) if getattr(one, "__file__", None) == module.co_filename]
    if len(loaded) != 1 or name not in vars(loaded[0]):
        return False
    fresh = {part: vars(loaded[0]).get(part) for part in ("__name__", "__file__", "__package__", "__spec__")}
    exec(module, fresh)
    old = vars(loaded[0])[name]
    for other in list(sys.modules.values()):
        if name in vars(other) and vars(other)[name] is old:
            setattr(other, name, fresh[name])
    return True


def _codes(code: CodeType) -> Iterator[CodeType]:
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield part
            yield from _codes(part)


def _files(chosen: Chosen) -> list[str]:
    return sorted({test.partition("::")[0] for test in chosen.tests})


def _pytest(options: list[str], plugin: Any) -> int:
    return int(pytest.main(["-q", "--tb=short", "-p", "no:cacheprovider", *options], plugins=[plugin]))


def _in_fork(work: Callable[[], int], folder: Path, seconds: float) -> int | None:
    sys.stdout.flush()
    scratch = Path(tempfile.mkdtemp(prefix="tmp-", dir=folder.parent))
    scratch.chmod(0o755)  # for tests of permissions, which become another user
    child = os.fork()
    if not child:
        _end_with(work, folder, scratch)
    try:
        return _ended(child, time.monotonic() + seconds)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # servers and decode processes that the tests have started
        shutil.rmtree(scratch, ignore_errors=True)


def _end_with(work: Callable[[], int], folder: Path, scratch: Path) -> None:
    """In the fork: it never returns."""
    status = INTERNAL_ERROR
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        log = os.open(folder.parent / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        os.chdir(folder)
        scratch.mkdir(exist_ok=True)
        os.environ |= {"TMPDIR": str(scratch), "PYTHONPATH": os.pathsep.join(sys.path[:4])}
        tempfile.tempdir = None
        status = work()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _ended(child: int, deadline: float) -> int | None:
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.01)
