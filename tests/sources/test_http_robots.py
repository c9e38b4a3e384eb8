"""What a robots.txt says, by itself, without a host."""

from __future__ import annotations

import time

import pytest

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason
from imagefeatures.sources.http import urls
from imagefeatures.sources.http.options import Response
from imagefeatures.sources.http.robots import MOST_RULES, Robots

URL = urls.parse("https://example.org/1.jpg")


def robots(text: str) -> Robots:
    return Robots(Response(text.encode(), None), "example.org")


def test_rules_are_those_for_this_program() -> None:
    found = robots("User-agent: imagefeatures\nDisallow: /private\nCrawl-delay: 2.5\n\nUser-agent: *\nDisallow: /\n")
    assert found.crawl_delay == 2.5
    assert found.refusal(URL) is None
    refused = found.refusal(urls.parse("https://example.org/private/1.jpg"))
    assert refused is not None
    assert (refused.reason, refused.detail) == (Reason.OPTED_OUT, "the robots.txt of example.org disallows it")
    assert robots("").crawl_delay == 0
    assert Robots(Response(b"\xff\nUser-agent: *\nDisallow: /", None), "h").refusal(URL) is not None


@pytest.mark.parametrize(
    "path",
    ["/private/1", "/a/../private/1", "/./private/1", "/a/%2E%2e/private/1", "/a\\..\\private/1", "/%70rivate/1"],
)
def test_rules_are_asked_about_the_path_that_is_sent(path: str) -> None:
    refused = robots("\ufeffUser-agent: *\nDisallow: /private/\n").refusal(urls.parse(f"https://example.org{path}"))
    assert refused is not None
    assert refused.reason == Reason.OPTED_OUT


@pytest.mark.parametrize(
    ("agent", "refused"),
    [
        ("imagefeatures/0.1.0", True),
        ("ImageFeatures/9 (+x)", True),
        ("imagefeatures", True),
        ("imagefeatures-x/1", False),
        ("a/imagefeatures", False),
        ("i/5", False),
    ],
)
def test_a_name_with_a_version_is_the_name(agent: str, refused: bool) -> None:
    for line in (f"User-agent: {agent}", f"  USER AGENT {agent}"):
        assert (robots(f"{line}\rDisallow: /\r").refusal(URL) is not None) is refused


def test_a_version_of_another_program_makes_its_rules_no_rules_for_this_one() -> None:
    assert robots("User-agent: image/1\nAllow: /\n\nUser-agent: *\nDisallow: /\n").refusal(URL) is not None


@pytest.mark.parametrize("line", ["user-agent" + " " * 400_000, "user-agent" * 40_000, "user-agent:" + "a" * 400_000])
def test_a_long_line_of_a_robots_txt_takes_no_time(line: str) -> None:
    begun = time.process_time()
    assert robots(line).refusal(URL) is None
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("reason", [Reason.HTTP_REFUSED, Reason.EMPTY_OBJECT, Reason.TOO_MANY_REDIRECTS])
def test_a_host_without_rules_allows_everything(reason: Reason) -> None:
    found = Robots(Rejected(reason, "nothing"), "example.org")
    assert (found.refusal(URL), found.crawl_delay) == (None, 0)


def test_a_host_that_fails_allows_nothing() -> None:
    refused = Robots(Rejected(Reason.FETCH_TIMEOUT, "example.org: late"), "example.org").refusal(URL)
    assert refused is not None
    assert refused.reason == Reason.FETCH_TIMEOUT
    assert refused.detail == "its robots.txt cannot be read: example.org: late"


def test_rules_are_counted_by_agents_and_lines_before_they_are_read() -> None:
    for lines, refused in ((MOST_RULES // 2, False), (MOST_RULES // 2 + 1, True)):
        found = robots("user-agent: a\n  USER  AGENT b\n" + "\n" * (lines - 2)).refusal(URL)
        assert (found is not None) is refused
    assert found is not None
    assert (found.reason, found.detail) == (
        Reason.FETCH_FAILED,
        "example.org: its robots.txt has more than 100,000 rules",
    )
    assert robots("User-agent: a\n" + "\n" * (MOST_RULES + 1)).refusal(URL) is None
    by_returns = "".join(f"useragent: {number}\r" for number in range(1000)) + "Disallow: /\r" * 1000
    assert robots(by_returns).refusal(URL) is not None
