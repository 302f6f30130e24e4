"""
From something valid to something hostile: a few random steps, each small enough that what comes out is nearly right.

Three dialects: bytes, JSON (whose values are exchanged, so that the text stays JSON) and the parts of a message (which
are packed again, so that the lengths stay right).
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from grayflow.store.redis.wire import UnreadableError, pack, unpack

__all__ = ["Mutation", "Mutator", "bytewise", "framed", "framewise", "jsonwise"]

LONGEST = 1 << 17
"""Of what mutations make. Documents at their limits are tried one by one (`test_bombs.py`)."""

Mutation = Callable[[Random, bytes, bytes], bytes]
"""Gets a source of chance, what to change, and another seed to take pieces from."""

TOKENS = (
    *(
        b"",
        b"\x00",
        b"\r\n",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        "\u202e\ufeff".encode(),
        b'"',
        b"\\",
        b"\\u0000",
        b"\\ud800",
    ),
    *(b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b"false", b"-", b"-1", b"0", b"1e999", b"1e-999", b"NaN"),
    *(b"9" * 16, b"9" * 19, b"9" * 5000, b"18446744073709551616", b"0x10", b"1_0", b"+1", b" 1", b"00", b"-0", b"0.1"),
    *(
        b"gf1",
        b"gf2",
        b"1:a",
        b"5:epoch",
        b"3:gap1:x",
        b"99999999999:",
        b"$-7\r\n",
        b"*-7\r\n",
        b"*1\r\n" * 50,
        b"$-1\r\n",
    ),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**30, 0.1, -0.0, 1e308, 5e-324),
    *(
        "",
        "a",
        "on",
        "off",
        "now",
        "user_id",
        "f" * 201,
        "\u0000",
        "\ud800",
        "\u202e",
        "1.0",
        "NaN",
        "true",
        "*",
        "a.b.c",
    ),
    *("2027-01-01T00:00:00Z", "2027-01-01T00:00:00", "9999-12-31T23:59:59+14:00", "24:00", "22:30", "2027-02-30"),
    *("(a+)+$", "(", "[[:alpha:]]", "\\d{1,1000}", "10.0.0.0/8", "::/0", "10.0.0.0/33", "1.2.3-rc.1+b", "v1"),
    *([], {}, [[]], {"": 0}, [None] * 40, {"type": "all", "of": []}, {"type": "not", "of": {"type": "any", "of": []}}),
    *({"type": "flag", "key": "f"}, {"type": "segment", "key": "staff"}, {"type": "bucket", "ranges": [[0, 100_000]]}),
    *({"weights": [["on", 100_000]]}, {"ranges": [["on", 5, 4]]}, {"first": ["a", ["b", 0]]}, {"variant": "on"}),
    {"type": "attribute", "name": "country", "op": "in", "values": ["DE"], "negate": True, "absent": True},
    {"type": "during", "days": ["mon"], "start": "22:00", "end": "06:00"},
)

NAMES = ("key", "type", "serve", "by", "values", "salt", "x", "", "on", "when")


def bytewise(random: Random, data: bytes, other: bytes) -> bytes:
    """Change, add, repeat or remove some bytes."""
    at = random.randint(0, len(data))
    end = min(len(data), at + random.choice((1, 1, 2, 4, 16, 256)))
    match random.randrange(8):
        case 0:
            return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at] + random.choice(TOKENS) + data[at:]
        case 2:
            return data[:at] + random.choice(TOKENS) + data[end:]
        case 3:
            return data[:at] + data[end:]
        case 4:
            return data[:at] + data[at:end] * random.choice((2, 3, 40, 1000)) + data[end:]
        case 5:
            start = random.randint(0, len(other))
            return data[:at] + other[start : start + random.randint(0, 64)] + data[at:]
        case 6:
            return data[:at] + other[random.randint(0, len(other)) :]
        case _:
            return data[:at]


def jsonwise(random: Random, data: bytes, other: bytes) -> bytes:
    """Change one value inside of a JSON text; of what is none, some bytes."""
    try:
        document, donor = json.loads(data), json.loads(other)
    except (ValueError, RecursionError):
        return bytewise(random, data, other)
    places = list(_places(document))
    if not places:
        return bytewise(random, data, other)
    holder, step = random.choice(places)
    match random.randrange(9):
        case 0:
            holder[step] = random.choice(VALUES)
        case 1 | 2 | 3:
            donors = list(_places(donor))
            alike = [each for each in donors if each[1] == step and type(each[0]) is type(holder)]
            chosen = random.choice(alike or donors or [(VALUES, 0)])
            holder[step] = chosen[0][chosen[1]]
        case 4:
            del holder[step]
        case 5 if isinstance(holder, list):
            holder[step:step] = [holder[step]] * random.choice((1, 2, 40))
        case 5:
            holder[step] = [holder[step]] * random.choice((1, 2, 40))
        case 6 if isinstance(holder, dict):
            holder[random.choice(("key", "type", "serve", "by", "values", "salt", "x", "", "on", "when"))] = holder[
                step
            ]
        case _:
            holder[step] = {"type": random.choice(("not", "all", "any")), "of": holder[step]}
    return json.dumps(document, ensure_ascii=random.random() < 0.5).encode(errors="surrogatepass")


def _places(value: Any) -> "list[tuple[Any, Any]]":
    """Return everything that stands in a list or an object, as holder and index or name."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        steps = holder if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for step in steps:
            found.append((holder, step))
            waiting.append(holder[step])
    return found


def framed(inner: Mutation, magic: bytes = b"") -> Mutation:
    """Return a mutation that changes one part of many by `inner`, and leaves the framing whole."""

    def framewise(random: Random, data: bytes, other: bytes) -> bytes:
        try:
            parts, donors = unpack(data.removeprefix(magic)), unpack(other.removeprefix(magic)) or [b""]
        except UnreadableError:
            return bytewise(random, data, other)
        at = random.randint(0, len(parts))
        match random.randrange(8):
            case 0:
                parts[at:at] = [random.choice(donors)]
            case 1:
                parts[at : at + 2] = []
            case 2:
                parts[at : at + 1] = [random.choice(TOKENS)]
            case 3:
                parts += parts[at : at + 2] * random.choice((1, 300))
            case _ if parts:
                at = random.randrange(len(parts))
                parts[at] = inner(random, parts[at], random.choice(donors))
        return magic + pack(parts)

    return framewise


framewise = framed(bytewise)


class Mutator:
    """
    Makes inputs, the same ones for the same seed.

    Args:
        seeds: What is valid.
        mutations: The steps; each is as likely as the others.
        seed: Of chance.
    """

    def __init__(self, seeds: Sequence[bytes], mutations: Sequence[Mutation], seed: int) -> None:
        self._seeds, self._mutations, self._random = seeds, mutations, Random(seed)

    def __call__(self) -> bytes:
        """Return the next input. One in fifty is a seed as it is, or nothing but noise."""
        random = self._random
        data = random.choice(self._seeds)
        match random.randrange(100):
            case 0:
                return data
            case 1:
                return random.randbytes(random.choice((0, 1, 10, 1000)))
        return self.changed(data)

    def changed(self, data: bytes) -> bytes:
        """Return something that is a few steps away from `data`."""
        random = self._random
        for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
            data = random.choice(self._mutations)(random, data, random.choice(self._seeds))[:LONGEST]
        return data
