"""
Addresses and networks of both IP versions, arranged so that many networks are tested at once.

An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`) is what a dual-stack socket reports for an IPv4 client, so
it matches IPv4 networks. Leading zeros in IPv4 are refused, because half of all programs read them as octal.
"""

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any

import msgspec

from grayflow.core.values import text

__all__ = ["Address", "Network", "Networks", "address", "network"]

Address = tuple[int, int]
"""Its version, 4 or 6, and its bits as a number."""

Network = tuple[int, int, int]
"""Its version, the number of bits that do not count, and those that do as a number."""

_OCTETS = {str(octet): octet for octet in range(256)}
_PREFIX = re.compile(r"0|[1-9][0-9]{0,2}")
_BITS = {4: 32, 6: 128}
_LONGEST = {4: 15, 6: 45}
_MAPPED = 0xFFFF


def address(value: Any) -> Address | None:
    """Read an address from text or an `ipaddress` object; None for what is none. A scope id is ignored."""
    written = text(value)
    if written is not None:
        return _v6(written) if ":" in written[: _LONGEST[6]] else _v4(written)
    if issubclass(type(value), IPv4Address):
        return 4, int(value)
    return (6, int(value)) if issubclass(type(value), IPv6Address) else None


def network(value: Any) -> Network | None:
    """
    Read a network, `10.0.0.0/8`, or a plain address, which is a network of one; None for what is neither.

    Bits outside the prefix may be set and do not count.
    """
    written = text(value)
    head, slash, prefix = (written or "").partition("/")
    base = address(head if slash else value)
    if base is None:
        return None
    version, bits = base
    length = int(prefix) if _PREFIX.fullmatch(prefix) else _BITS[version] if not slash else None
    if length is None or length > _BITS[version]:
        return None
    free = _BITS[version] - length
    if version == 6 and free <= 32 and bits >> 32 == _MAPPED:
        return 4, free, (bits & 0xFFFFFFFF) >> free
    return version, free, bits >> free


class Networks(msgspec.Struct, frozen=True):
    """Many networks. A look-up costs a step for every length of prefix among them, however many there are."""

    v4: tuple[tuple[int, frozenset[int]], ...]
    v6: tuple[tuple[int, frozenset[int]], ...]

    @classmethod
    def of(cls, networks: Iterable[Network]) -> "Networks":
        """Arrange them by version and length."""
        tables: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for version, free, bits in networks:
            tables[version].setdefault(free, set()).add(bits)
        v4, v6 = (tuple((free, frozenset(bits)) for free, bits in tables[version].items()) for version in (4, 6))
        return cls(v4, v6)

    def __contains__(self, found: Address) -> bool:
        """Whether any of them holds the address."""
        version, bits = found
        for free, heads in self.v4 if version == 4 else self.v6:
            if bits >> free in heads:
                return True
        return version == 6 and bits >> 32 == _MAPPED and (4, bits & 0xFFFFFFFF) in self


def _v4(written: str) -> Address | None:
    parts = written.split(".") if len(written) <= _LONGEST[4] else ()
    if len(parts) != 4:
        return None
    try:
        first, second, third, fourth = map(_OCTETS.__getitem__, parts)
    except KeyError:
        return None
    return 4, first << 24 | second << 16 | third << 8 | fourth


def _v6(written: str) -> Address | None:
    head, percent, scope = written.partition("%")
    if len(head) > _LONGEST[6] or (percent and not scope):
        return None
    try:
        return 6, int(IPv6Address(head))
    except AddressValueError:
        return None
