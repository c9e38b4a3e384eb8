"""The order, the retries, the redirects and the memory of a whole shard: one thread, many requests at a time."""

from __future__ import annotations

import heapq
import secrets
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

import certifi

from imagefeatures import settings
from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason
from imagefeatures.sources.http import headers, urls
from imagefeatures.sources.http.hosts import Host, Known
from imagefeatures.sources.http.jobs import Again, Evicted, Job, Memory, Moved, OtherVersion, Outcome, Undecodable
from imagefeatures.sources.http.loop import Loop
from imagefeatures.sources.http.options import HttpOptions, Response
from imagefeatures.sources.http.robots import Robots
from imagefeatures.sources.http.transfer import Rules, Transfer
from imagefeatures.sources.item import Item

HANDLES = 64
MOST_REDIRECTS = 5
MOST_TRIES = 4
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 8.0
SWEEP_SECONDS = 0.05
"""How exactly a deadline is kept."""

_random = secrets.SystemRandom()


class Fetch:
    """Fetches the items of one shard; used once. Arguments as in `http.fetch_all`."""

    def __init__(
        self, items: Sequence[Item], most_bytes: int, options: HttpOptions, known: Known | None = None
    ) -> None:
        known = known or Known()
        self._items = items
        self._options = options
        self._memory = Memory()
        self._rules = Rules(
            options, most_bytes, self._memory, settings.http_allow(), settings.ca_bundle() or certifi.where(),
            _user_agent(options.contact),
        )  # fmt: skip
        self._hosts = known.hosts
        for host in self._hosts.values():
            host.begin_anew()
        self._due: list[tuple[float, int, str]] = []  # when a host may be asked, the index of its next job, its name
        self._later: list[tuple[float, int, Job]] = []  # when a job is tried again
        self._active: dict[int, Transfer] = {}
        self._free: list[Transfer] = []
        self._transfers: dict[object, Transfer] = {}  # by their handle
        self._held_up: list[Host] = []  # by memory
        self._robots = known.robots
        self._asking: dict[str, list[Job]] = {}  # by origin, what waits for its robots.txt
        self._begun: dict[int, Job] = {}  # those that have a deadline
        self._results: dict[int, Response | Rejected] = {}
        self._swept = 0.0

    def run(self) -> Iterator[Response | Rejected]:
        """The result of each item, in order."""
        self._loop = Loop()
        try:
            for index, item in enumerate(self._items):
                self._admit(index, item)
            for host in self._hosts.values():  # the shard before this one may have asked it just now
                host.pause(time.monotonic() + host.interval)
            for head in range(len(self._items)):
                self._memory.head = head
                while head not in self._results:
                    self._turn()
                result = self._results.pop(head)
                if isinstance(result, Response):
                    self._memory.held -= len(result.data)
                left = time.monotonic()
                yield result
                self._not_counted(time.monotonic() - left)
        finally:
            for transfer in self._transfers.values():
                transfer.handle.close()
            self._loop.close()

    def _admit(self, index: int, item: Item) -> None:
        try:
            if item.rejected:
                raise item.rejected
            url = urls.parse(item.uri)
        except Rejected as rejected:
            self._results[index] = rejected
            return
        self._queue(Job(index, url, item.etag, needs=item.size or 0))

    def _turn(self) -> None:
        """Start what may start, wait until something happens, and deal with it."""
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            job = heapq.heappop(self._later)[2]
            if not job.done:  # its deadline may have passed
                self._queue(job)
        self._start_what_is_due(now)
        times = [self._swept + SWEEP_SECONDS]
        if self._later:
            times.append(self._later[0][0])
        if self._due and len(self._active) < HANDLES:
            times.append(self._due[0][0])
        for handle, code, words in self._loop.wait(min(times) - now):
            transfer = self._transfers[handle]
            self._ended(transfer, transfer.outcome(code, words))
        if time.monotonic() >= self._swept + SWEEP_SECONDS:
            self._sweep()

    def _queue(self, job: Job) -> None:
        """Let a job wait for its host, and before that for the host's robots.txt."""
        host = self._host(job.url.host)
        refused = host.lost or self._refused_by_robots(job)
        if refused:
            self._finish(job, refused)
        elif job.robots_of or job.url.origin not in self._asking:
            host.add(job)
            self._schedule(host)

    def _refused_by_robots(self, job: Job) -> Rejected | None:
        """Why robots.txt keeps a job from being asked for. While it is not known, the job waits in `_asking`."""
        origin = job.url.origin
        if not self._options.robots_txt or job.robots_of:
            return None
        if origin in self._robots:
            return self._robots[origin].refusal(job.url)
        if origin in self._asking:
            self._asking[origin].append(job)
            return None
        self._asking[origin] = [job]
        before_all_items = -len(self._asking) - len(self._robots)
        self._queue(Job(before_all_items, urls.parse(f"{origin}/robots.txt"), None, robots_of=origin))
        return None

    def _take_robots(self, job: Job, found: Response | Rejected) -> None:
        host = self._host(urls.host_of(job.robots_of))
        robots = self._robots[job.robots_of] = Robots(found, host.name)
        if robots.crawl_delay > self._options.deadline_seconds:
            limit = f"http.deadline_seconds is {self._options.deadline_seconds:g}"
            why = f"the robots.txt of {host.name} asks for {robots.crawl_delay:,.0f} s between requests; {limit}"
            host.lost = Rejected(Reason.RATE_LIMITED, why)
        host.interval = max(host.interval, robots.crawl_delay)
        if robots.crawl_delay:  # robots.txt itself was a request, and the shard before this one may have asked just now
            host.pause(time.monotonic() + host.interval)
        if isinstance(found, Response):
            self._memory.held -= len(found.data)
        for waiting in self._asking.pop(job.robots_of):
            if not waiting.done:
                self._queue(waiting)

    def _host(self, name: str) -> Host:
        if name not in self._hosts:
            rate = self._options.requests_per_second
            self._hosts[name] = Host(name, self._options.connections_per_host, 1 / rate if rate else 0.0)
        return self._hosts[name]

    def _schedule(self, host: Host) -> None:
        """Enter a host where the next one to be asked is looked up, unless it is there."""
        if not host.scheduled and (turn := host.turn()):
            host.scheduled = True
            heapq.heappush(self._due, (*turn, host.name))

    def _start_what_is_due(self, now: float) -> None:
        while self._due and self._due[0][0] <= now and len(self._active) < HANDLES:
            host = self._hosts[heapq.heappop(self._due)[2]]
            host.scheduled = False
            turn = host.turn()
            if turn and turn[0] <= now:
                if self._memory.is_full(turn[1], host.next_job().needs):
                    self._held_up.append(host)
                    continue
                self._start(host.start(now), now)
            self._schedule(host)

    def _start(self, job: Job, now: float) -> None:
        if job.deadline is None:
            job.deadline = now + self._options.deadline_seconds
            self._begun[job.index] = job
        if not self._free:
            made = Transfer(self._rules)
            self._transfers[made.handle] = made
            self._free.append(made)
        transfer = self._free.pop()
        self._active[job.index] = transfer
        transfer.begin(job, job.deadline - now)
        self._loop.add(transfer.handle)

    def _ended(self, transfer: Transfer, outcome: Outcome) -> None:
        """Deal with what became of a request. Its handle has been taken out of the loop."""
        job = transfer.job
        transfer.end(outcome)
        self._free.append(self._active.pop(job.index))
        host = self._hosts[job.url.host]
        host.ended()
        if isinstance(outcome, Moved):
            self._follow(job, outcome.location)
        elif isinstance(outcome, Evicted):
            job.deadline = None
            del self._begun[job.index]
            self._queue(job)
        elif isinstance(outcome, OtherVersion):
            job.etag = None
            self._queue(job)
        elif isinstance(outcome, Undecodable):
            job.decode = False
            self._queue(job)
        elif isinstance(outcome, Again):
            self._try_again(job, host, outcome)
        else:
            self._finish(job, outcome)
        self._schedule(host)

    def _follow(self, job: Job, location: str) -> None:
        host = job.url.host
        if job.redirects == MOST_REDIRECTS:
            why = f"{host} redirects once more after {MOST_REDIRECTS} redirects"
            self._finish(job, Rejected(Reason.TOO_MANY_REDIRECTS, why))
            return
        job.redirects += 1
        before = job.url
        try:
            job.url = urls.moved(before, location)
        except Rejected as rejected:
            self._finish(job, rejected)
            return
        if job.url.text != before.text.replace("http://", "https://", 1):  # the same resource, only by TLS
            job.etag, job.elsewhere = None, True
        self._queue(job)

    def _try_again(self, job: Job, host: Host, again: Again) -> None:
        """Wait with jitter, or as long as the host asks for; or end the job where its deadline is nearer."""
        now, patience = time.monotonic(), self._options.deadline_seconds
        job.tries += 1
        wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (job.tries - 1)) * _random.uniform(0.5, 1)
        detail = again.why.detail
        if again.after is not None:
            wait = max(wait, again.after)
            detail += f" and asks for {again.after:,.0f} s without requests; http.deadline_seconds is {patience:g}"
        if again.why.reason == Reason.RATE_LIMITED:
            host.pause(now + wait)
            if (again.after or 0) > patience:  # it asks for that itself; our own wait says nothing of the host
                host.lost = Rejected(Reason.RATE_LIMITED, f"not asked for: {detail}")
        job.last = Rejected(again.why.reason, f"{detail} ({job.tries} tries)" if job.tries > 1 else detail)
        if job.tries == MOST_TRIES or now + wait >= (job.deadline or now):
            self._finish(job, job.last)
        else:
            heapq.heappush(self._later, (now + wait, job.index, job))

    def _finish(self, job: Job, result: Response | Rejected) -> None:
        job.done = True
        self._begun.pop(job.index, None)
        if job.robots_of:
            self._take_robots(job, result)
            return
        self._results[job.index] = result
        host = self._host(job.url.host)
        host.judge(result if isinstance(result, Rejected) else None)
        if host.lost:
            for other in list(host.drain()):  # all of them are out before the first one comes here again
                if not other.done:
                    self._finish(other, host.lost)

    def _sweep(self) -> None:
        """End the jobs whose deadline has passed, and look again at what waits for memory."""
        self._swept = time.monotonic()
        for job in [job for job in self._begun.values() if (job.deadline or 0) <= self._swept]:
            limit = f"http.deadline_seconds = {self._options.deadline_seconds:g}"
            transfer = self._active.get(job.index)
            if transfer:
                self._loop.remove(transfer.handle)
                why = f"{job.url.host}: not whole within {limit}; {transfer.body_bytes:,} bytes had come"
                self._ended(transfer, Rejected(Reason.FETCH_TIMEOUT, why))
            elif not job.done:
                why = f"{job.url.host}: not its turn within {limit}"
                self._finish(job, job.last or Rejected(Reason.FETCH_TIMEOUT, why))
        for host in self._held_up:
            self._schedule(host)
        self._held_up.clear()

    def _not_counted(self, seconds: float) -> None:
        """Move every deadline by the time that the caller took between two results: no host is at fault for that."""
        for job in self._begun.values():
            job.deadline = (job.deadline or 0) + seconds


def _user_agent(contact: str | None) -> str:
    try:
        name = f"{headers.BOT}/{version(headers.BOT)}"
    except PackageNotFoundError:  # a checkout that is not installed
        name = headers.BOT
    return f"{name} (+{contact})" if contact else name
