"""What the HTTP client reads: addresses, URLs and headers."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime
from ipaddress import ip_network

import pytest

from imagefeatures.errors import Rejected, SettingsError
from imagefeatures.reasons import Reason
from imagefeatures.settings import http_allow
from imagefeatures.sources.http import addresses, headers, host_of, urls

PUBLIC = ["1.1.1.1", "9.9.9.9", "172.32.0.1", "100.63.0.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808"]
NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.9", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1",
    "2001:0:7f00:1::", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::1", "2002:808:808::1", "3fff::1",
    "4000::1", "5f00::1", "fc00::1", "fd00::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "nonsense", "",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_dialled(address: str) -> None:
    assert addresses.refusal(address, []) is None


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_may_not_be_dialled(address: str) -> None:
    assert addresses.refusal(address, [])


@pytest.mark.parametrize(
    ("address", "allowed", "may"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.2", "127.0.0.1", False),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("64:ff9b::7f00:1", "127.0.0.1", True),
        ("64:ff9b::7f00:1", "64:ff9b::/96", False),  # the word for the prefix is no word for what lies behind it
        ("fd00::7", "fd00::/8", True),
        ("2002:7f00:1::1", "127.0.0.0/8", False),
        ("2002:7f00:1::1", "2002::/16", True),
        ("fe80::1%eth0", "fe80::/10", True),
    ],
)
def test_the_operators_networks_may_be_dialled(address: str, allowed: str, may: bool) -> None:
    assert (addresses.refusal(address, [ip_network(allowed)]) is None) == may


def test_a_refusal_names_the_address_without_its_zone() -> None:
    assert addresses.refusal("fe80::1%eth0", []) == "fe80::1 is not a public address"


@pytest.mark.parametrize("text", ["127.0.0.1/8", "localhost", "10.0.0.0/33", "10.0.0.0/8 127.0.0.1"])
def test_a_malformed_network_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_HTTP_ALLOW: .*separated by commas$"):
        http_allow({"IMAGEFEATURES_HTTP_ALLOW": text})
    assert http_allow({}) == http_allow({"IMAGEFEATURES_HTTP_ALLOW": " , "}) == ()


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("http://Example.ORG", "http://example.org/"),
        ("HTTPS://example.org:443/a", "https://example.org/a"),
        ("https://example.org:80/a", "https://example.org:80/a"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://Straße.example/", "http://xn--strae-oqa.example/"),
        ("http://例え.テスト/画像.jpg", "http://xn--r8jz45g.xn--zckzah/%E7%94%BB%E5%83%8F.jpg"),
        ("http://ex\tam\nple.org/", "http://example.org/"),
        ("http://[2606:4700::1111]:8080/", "http://[2606:4700::1111]:8080/"),
        ("http://example.org./", "http://example.org./"),
        ("http://my_host.example/", "http://my_host.example/"),
    ],
)
def test_a_url_is_brought_into_the_form_that_is_sent(written: str, sent: str) -> None:
    assert urls.parse(written).text == sent


@pytest.mark.parametrize(
    "written",
    [
        "", "photo.jpg", "//example.org/", "http:", "http://", "http:///a", "http://:80/", "ftp://example.org/",
        "s3://bucket/key", "data:image/png;base64,AAAA", "javascript:alert(1)", "http://a b/", "http://a<b/",
        "http://[::1", "http://[nonsense]/", "http://[fe80::1%25eth0]/",
        "http://[64:ff9b::1%25eª]/", "http://example.org:port/", "http://example.org:-1/",
        "http://example.org:99999/", "http://example.org:6667/", "http://me@example.org/", "http://@example.org/",
        "http://example.org\\@other.example/", "http://other.example\\path/", "http://" + "ü" * 70 + ".example/",
        "http://example.org/" + "a" * 9000, "http://example.org/\ud800", "http://exa\0mple.org/", "http://%31.1.1.1/",
    ],
)  # fmt: skip
def test_what_is_no_url_of_ours_is_refused_and_not_shown(written: str) -> None:
    with pytest.raises(Rejected) as caught:
        urls.parse(written)
    assert caught.value.reason == Reason.UNSUPPORTED_URL
    assert "example" not in caught.value.detail
    assert host_of(written) == ""


# https://fetch.spec.whatwg.org/#port-blocking
BLOCKED_PORTS = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
]  # fmt: skip


def test_the_ports_of_other_protocols_are_refused_and_no_others() -> None:
    near = sorted({port + more for port in BLOCKED_PORTS for more in (0, 1)})
    assert [port for port in near if host_of(f"http://example.org:{port}/") == ""] == BLOCKED_PORTS


@pytest.mark.parametrize(
    ("lines", "rules"),
    [
        (["noai"], {"noai"}),
        (["NoAI, NoImageAI"], {"noai", "noimageai"}),
        (["noindex", "noai"], {"noindex", "noai"}),
        (["none"], {"noindex"}),
        (["imagefeatures: noai"], {"noai"}),
        (["ImageFeatures: noindex, noai"], {"noindex", "noai"}),
        (["*: noai"], {"noai"}),
        (["otherbot: noai"], set()),
        (["otherbot: noai, noimageai"], set()),
        (["noindex, otherbot: noai"], {"noindex"}),
        (["otherbot: noindex, imagefeatures: noai"], {"noai"}),
        (["otherbot: noindex", "noai"], {"noai"}),
        (["unavailable_after: 25 Jun 2026 15:00:00 PST, noai"], {"noai"}),
        (["unavailable_after: Thu, 25 Jun 2026 15:00:00 GMT, noai"], {"noai"}),
        (["otherbot: unavailable_after: 25 Jun 2026 15:00:00 PST, noai"], set()),
        (["max-image-preview:large, noimageai"], {"noimageai"}),
        (["googlebot-image: noai"], set()),
        (["all", "", ",,", ":", "noaiother"], set()),
    ],
)
def test_robots_tags_are_read_as_they_are_written(lines: list[str], rules: set[str]) -> None:
    for rule in ("noai", "noimageai", "noindex"):
        found = headers.opted_out({"x-robots-tag": lines}, (rule,))
        assert found == (f"X-Robots-Tag: {rule}" if rule in rules else None)


@pytest.mark.parametrize(
    ("value", "out"),
    [
        ("train-ai=n", True), ("search=y, train-ai=n", True), ("Train-AI=N", True), ("train-ai=n;exp=1", True),
        ("bots=n", True), ("train-ai=y", False), ("search=n", False), ("", False), ("=n", False),
    ],
)  # fmt: skip
def test_content_usage_counts_where_it_says_no_to_learning(value: str, out: bool) -> None:
    assert bool(headers.opted_out({"content-usage": [value]}, ("content-usage",))) == out
    assert headers.opted_out({"content-usage": [value]}, ("noai", "tdm-reservation")) is None


@pytest.mark.parametrize(("value", "out"), [("1", True), (" 1 ", True), ("0", False), ("", False), ("11", False)])
def test_a_reservation_counts_when_it_is_one(value: str, out: bool) -> None:
    assert bool(headers.opted_out({"tdm-reservation": [value]}, ("tdm-reservation",))) == out


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120), ("0", 0), (" 7 ", 7), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("-5", None), ("1.5", None),
        ("soon", None), ("", None), ("9" * 5000, None), ("Wed, 99 Oct 2015 07:28:00 GMT", None), ("Mon, ", None),
        ("Mon, 01 Jan 99999 00:00:00 GMT", None), ("٣", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_or_ignored(text: str, seconds: float | None) -> None:
    assert headers.retry_after({"retry-after": [text]}) == seconds


def test_retry_after_may_be_a_day_to_come() -> None:
    date = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90), usegmt=True)
    assert 85 < (headers.retry_after({"retry-after": [date]}) or 0) <= 90
