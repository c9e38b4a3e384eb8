"""The CPU time of fetching by URL: our client, libcurl's multi interface alone, urllib with threads.

    python -m benchmarks.http_clients [photos] [repetitions]

Eight hosts on the loopback network, in a process of their own, send 21 kB each. The clients take turns. Only the time
of this process counts. Prints a table.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection

import pycurl

from imagefeatures.sources import Item
from imagefeatures.sources.http import HttpOptions, Response, fetch_all

HOSTS = tuple(f"127.0.0.{n}" for n in range(1, 9))
BODY = os.urandom(21_000)
AT_A_TIME = 64


class Host(asyncio.Protocol):
    """Answers every request with the same body."""

    answer = (
        b'HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n' % len(BODY) + BODY
    )

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.transport = transport

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            self.transport.write(self.answer)


def serve(ready: Connection) -> None:
    async def run() -> None:
        servers = [await asyncio.get_running_loop().create_server(Host, host, 0, backlog=500) for host in HOSTS]
        ready.send(
            [f"http://{host}:{server.sockets[0].getsockname()[1]}" for host, server in zip(HOSTS, servers, strict=True)]
        )
        await asyncio.Event().wait()

    asyncio.run(run())


def ours(urls: Sequence[str]) -> int:
    options = HttpOptions(connections_per_host=AT_A_TIME, requests_per_second=None)
    return sum(isinstance(got, Response) for got in fetch_all([Item(url) for url in urls], 2**25, options))


def bare(urls: Sequence[str]) -> int:
    """The shortest loop over CurlMulti: no check of an address, no header, no deadline, no order."""
    multi, waiting, bodies = pycurl.CurlMulti(), list(urls), []
    free = [pycurl.Curl() for _ in range(AT_A_TIME)]
    active = 0
    while waiting or active:
        while free and waiting:
            handle, body = free.pop(), bytearray()
            bodies.append(body)
            handle.setopt(pycurl.URL, waiting.pop())
            handle.setopt(pycurl.WRITEFUNCTION, body.extend)
            multi.add_handle(handle)
            active += 1
        multi.perform()
        for handle in multi.info_read()[1]:
            multi.remove_handle(handle)
            free.append(handle)
            active -= 1
        if not free:
            multi.select(0.1)
    return sum(len(body) == len(BODY) for body in bodies)


def urllib_threads(urls: Sequence[str]) -> int:
    def get(url: str) -> bytes:
        with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - our own hosts
            return bytes(response.read())

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return sum(len(body) == len(BODY) for body in pool.map(get, urls))


def main(photos: int = 3000, repetitions: int = 5) -> None:
    clients: dict[str, Callable[[Sequence[str]], int]] = {
        "our client": ours, "CurlMulti alone": bare, f"urllib, {AT_A_TIME} threads": urllib_threads,
    }  # fmt: skip
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("fork").Process(target=serve, args=(there,), daemon=True)
    server.start()
    try:
        origins = here.recv()
        os.environ["IMAGEFEATURES_HTTP_ALLOW"] = "127.0.0.0/8"
        urls = [f"{origins[n % len(origins)]}/{n}.jpg" for n in range(photos)]
        rates: dict[str, list[tuple[float, float]]] = {name: [] for name in clients}
        for _ in range(repetitions):
            for name, client in clients.items():
                cpu, wall = time.process_time(), time.perf_counter()
                got = client(urls)
                spent = time.process_time() - cpu, time.perf_counter() - wall
                if got != photos:
                    raise SystemExit(f"{name}: {got:,} of {photos:,} photos came")
                rates[name].append((photos / spent[0], photos / spent[1]))
    finally:
        server.terminate()
    print("| client | images per CPU second: median (worst to best) | images per second |\n|---|---|---|")
    for name, pairs in rates.items():
        cpu_rates, wall_rates = ([pair[n] for pair in pairs] for n in range(2))
        middle, least, most = statistics.median(cpu_rates), min(cpu_rates), max(cpu_rates)
        print(f"| {name} | {middle:,.0f} ({least:,.0f} to {most:,.0f}) | {statistics.median(wall_rates):,.0f} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
