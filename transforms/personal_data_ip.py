"""IP addresses that can be those of a person.

Not found on purpose: addresses that belong to nobody (private, reserved, documentation: the
special-purpose registries of IANA), networks, open name servers, dotted version and section
numbers.
"""

import ipaddress
import re
from collections.abc import Iterator

import numpy as np

from raicurate.transforms.personal_data_column import Hit, Utf8Column, windows_around

_IPV4_MARGIN = 24  # bytes: more than any word that announces an address or a version
_IPV6_MARGIN = 48  # bytes: the longest address has 39, and a prefix length may follow

# Blocks that belong to no one in particular (IANA special-purpose address registry and multicast).
# `ipaddress.is_global` is not used: its answers differ between patch releases of Python.
_NOBODYS_IPV4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24"),
        *("192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    )
)
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
_NOBODYS_IPV6 = tuple(
    ipaddress.IPv6Network(block) for block in ("2001::/23", "2001:db8::/32", "3fff::/20")
)
# Open name servers, which documentation cites by address.
_NAME_SERVERS = frozenset(
    ipaddress.ip_address(address)
    for address in (
        *("1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "149.112.112.112"),
        *("208.67.222.222", "208.67.220.220", "94.140.14.14", "94.140.15.15", "4.2.2.2"),
        *("2606:4700:4700::1111", "2606:4700:4700::1001", "2001:4860:4860::8888"),
        *("2001:4860:4860::8844", "2620:fe::fe", "2620:fe::9"),
    )
)
# Of random public addresses 1 in 600 has three octets below 20 (4 (20/256)^3 + ...); dotted
# section and version numbers nearly always do.
_SMALL_OCTET = 20
_MOST_SMALL_OCTETS = 2
_ADDRESSED = re.compile(
    rb"\b(?:ip|ipv4|address|adresse|direcci\xc3\xb3n ip)[:=]? ?\Z", re.IGNORECASE
)
_NUMBERED = re.compile(
    rb"(?:\b(?:v|ver|vers|version|versions|versione|versi\xc3\xb3n|vers\xc3\xa3o|release|releases|"
    rb"rel|build|builds|rev|revision|update|patch|firmware|driver|section|sections|sec|chapter|"
    rb"clause|annex|appendix|figure|fig|table|abschnitt|kapitel|oid)[.:]?|\xc2\xa7|"
    rb"\xe3\x83\xb3|[<>=~^!]=|[<>^~]|[A-Za-z]/|[A-Za-z_]-)[ \"'`(]{0,2}\Z",
    re.IGNORECASE,
)
_INSIDE_NAME = re.compile(rb"[0-9A-Za-z_.]\Z")
_NOT_AFTER_IPV4 = re.compile(rb"[0-9A-Za-z_+]|[.-][A-Za-z0-9_]*[A-Za-z_]|\.[0-9]")
_PREFIX_LENGTH = re.compile(rb"/([0-9]{1,3})(?![0-9])")
_NOT_BEFORE_IPV6 = re.compile(rb"[0-9A-Za-z:_-]\Z")
_IPV6 = re.compile(rb"[0-9A-Fa-f:]{6,39}(?![0-9A-Za-z:_])")


def _is_personal_ipv4(address: ipaddress.IPv4Address, before: bytes) -> bool:
    """Whether the address can be that of a person; `before` is the text before it."""
    if address.packed[3] in {0, 255} or any(address in block for block in _NOBODYS_IPV4):
        return False
    if _ADDRESSED.search(before):
        return True
    small = sum(octet < _SMALL_OCTET for octet in address.packed)
    return small <= _MOST_SMALL_OCTETS and address not in _NAME_SERVERS


def _ipv4_at(window: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Returns the place of the IPv4 address if the dotted numbers in [start, end) are one."""
    before = window[max(start - _IPV4_MARGIN, 0) : start]
    if _INSIDE_NAME.search(before) or _NUMBERED.search(before):
        return None
    if _NOT_AFTER_IPV4.match(window, end):
        return None
    network = _PREFIX_LENGTH.match(window, end)
    if network is not None and int(network[1]) < 32:
        return None
    try:
        address = ipaddress.IPv4Address(window[start:end].decode("ascii"))
    except ValueError:
        return None
    return (start, end) if _is_personal_ipv4(address, before) else None


def _ipv6_at(window: bytes, start: int) -> tuple[int, int] | None:
    """Returns the place of the global IPv6 address that starts at `start`."""
    found = _IPV6.match(window, start)
    if found is None or _NOT_BEFORE_IPV6.search(window[max(start - 1, 0) : start]):
        return None
    end = found.end()
    if window[end - 1 : end] == b":" and window[end - 2 : end] != b"::":
        end -= 1  # the colon of a sentence
    try:
        address = ipaddress.IPv6Address(window[start:end].decode("ascii"))
    except ValueError:
        return None
    if address not in _GLOBAL_IPV6 or address in _NAME_SERVERS:
        return None
    if any(address in block for block in _NOBODYS_IPV6):
        return None
    network = _PREFIX_LENGTH.match(window, end)
    if network is not None and int(network[1]) < 128:
        return None
    return start, end


def find_ips(column: Utf8Column, ipv4: np.ndarray, ipv6: np.ndarray) -> Iterator[Hit]:
    """Yields the IP addresses of persons among the candidates of a column.

    Args:
        column: The bytes of the column.
        ipv4: Rows of start and end of four numbers with dots between them.
        ipv6: Where global IPv6 addresses may start.
    """
    for document, base, window, start, end in windows_around(
        column, ipv4[:, 0], ipv4[:, 1], _IPV4_MARGIN
    ):
        place = _ipv4_at(window, start, end)
        if place:
            yield Hit(document, base + place[0], base + place[1], "ip")
    for document, base, window, start, _ in windows_around(column, ipv6, ipv6, _IPV6_MARGIN):
        place = _ipv6_at(window, start)
        if place:
            yield Hit(document, base + place[0], base + place[1], "ip")
