"""Addresses are taken apart, and those that cannot or must not be asked are refused without repeating secrets."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cctv_images.inventory.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", Address("10.0.0.1")),
        ("10.0.0.1:8080", Address("10.0.0.1", 8080)),
        ("CAM-1.Example.org", Address("cam-1.example.org")),
        ("cam_1.local.:81", Address("cam_1.local.", 81)),
        ("[2001:DB8:0::1]:8080", Address("2001:db8::1", 8080)),
        ("[2001:db8::1]", Address("2001:db8::1")),
        ("2001:db8::1", Address("2001:db8::1")),
        ("::ffff:10.0.0.1", Address("10.0.0.1")),
        ("http://10.0.0.1", Address("10.0.0.1", is_url=True)),
        ("HTTPS://10.0.0.1:443/", Address("10.0.0.1", 443, "https", is_url=True)),
        ("http://h/a@b?c=d:e", Address("h", path="/a@b?c=d:e", is_url=True)),
        ("http://h?x=1", Address("h", path="/?x=1", is_url=True)),
        ("http://h/x?user=a&password=", Address("h", path="/x?user=a&password=", is_url=True)),
        ("rtsp://[::1]:554//live", Address("::1", 554, "rtsp", "//live", True)),
        ("127.4.5.6:1", Address("127.4.5.6", 1)),
        ("xn--bcher-kva.example", Address("xn--bcher-kva.example")),
        (f"{'a' * 63}.example", Address(f"{'a' * 63}.example")),
    ],
)
def test_addresses_that_can_be_asked(text: str, expected: Address) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "//host/x",
        "http://a..b/",
        "a..b",
        "http:///x",
        "http://",
        "http://:80/",
        f"{'a' * 64}.example",
        ".".join(["a" * 60] * 5),
        "-a.example",
        "a-.example",
        "host:",
        "host:0",
        "host:65536",
        "host:+80",
        "host:８０",
        "host:80:81",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[10.0.0.1]",
        "fe80::1%eth0",
        "[fe80::1%25eth0]:80",
        "host/path",
        "10.0.0.1/",
        "host?x",
        "ho st",
        "host\t",
        "http://h/a b",
        "http://h/\r\nX: y",
        "host\x00",
        "http://h/\x7f",
        "h\u200bost",
        "ftp://host/x",
        "file:///etc/passwd",
        "http:/host/x",
        "javascript:alert(1)",
        "http://h/x#y",
        "http://h\\@evil/",
        "http://h/a\\b",
        "bücher.example",
        "http://h/ä",
        "10.0.0.256",
        "10.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "010.0.0.1",
        "10.0.0.1.",
        "1.2.3.4.5",
        "１０.0.0.1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "169.254.169.254",
        "169.254.0.1:80",
        "http://169.254.169.254/latest/meta-data/",
        "::ffff:169.254.169.254",
        "[::ffff:a9fe:a9fe]:80",
        "http://[::ffff:169.254.1.1]/",
        "[::169.254.1.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "0251.0376.0251.0376",
        "2852039166",
        "169.254.43518",
    ],
)
def test_addresses_that_cannot_or_must_not_be_asked(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://admin:hunter2@10.0.0.1/x",
        "admin:hunter2@10.0.0.1",
        "hunter2@host",
        "rtsp://:hunter2@host/live",
        "http://h/snap.cgi?usr=admin&pwd=hunter2",
        "http://h/snap.cgi?Password=hunter2",
        "ftp://admin:hunter2@host/",
        "//admin:hunter2@host/x",
        "http://admin:hunter2@10.0.0.1/a b",
        "http://admin:hunter2@a..b/",
    ],
)
def test_credentials_in_an_address_are_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse_address(text)
    assert "hunter2" not in str(caught.value)


@given(st.text(alphabet="ah09.:/[]@%x-f\\?# é", max_size=40) | st.text(max_size=40))
def test_every_text_is_an_address_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        address = parse_address(text)
        assert address.host.isascii()
        assert not address.host.startswith("169.254.")
