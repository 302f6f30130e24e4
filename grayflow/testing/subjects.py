"""Contexts for property tests: ordinary ones that conditions often hold for, and hostile ones that must hurt nobody."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import cache, partial
from typing import Any, NoReturn

from hypothesis import strategies as st

from grayflow.core.context import Context
from grayflow.testing.pools import IDS, TOPICS

__all__ = ["contexts", "hostile_contexts"]

_FIELDS = tuple(name for name in Context.__struct_fields__ if name != "attributes")


_NAMES = [name for topic in TOPICS for name in topic.names if isinstance(name, str)]
_CHOSEN = st.lists(st.sampled_from(_NAMES), max_size=5, unique=True)
_IDS = st.sampled_from([*IDS, None])
_ADDRESSES = st.sampled_from([{"country": "DE"}, {"country": ["DE", "FR"]}, {}, "DE", None])


@st.composite
def contexts(draw: st.DrawFn) -> Context | Mapping[str, Any]:
    """Return contexts as services give them, half of them as mappings, with values that generated conditions know."""
    given = {name: draw(_suitable(name)) for name in draw(_CHOSEN)}
    if (unit := draw(_IDS)) is not None:
        given["user_id"] = unit
    if (address := draw(_ADDRESSES)) is not None:
        given["address"] = address
    if draw(st.booleans()):
        given["scores"] = [draw(_suitable("score")), draw(_suitable("score"))]
    if draw(st.booleans()):
        return given
    fields = {name: value for name, value in given.items() if name in _FIELDS}
    return Context(**fields, attributes={name: value for name, value in given.items() if name not in _FIELDS})


@cache
def _suitable(name: str) -> st.SearchStrategy[Any]:
    values = st.sampled_from([value for topic in TOPICS if name in topic.names for value in topic.values])
    return st.one_of(values, values, values, st.lists(values, max_size=3), st.none())


class _Raises:
    """Raises whenever it is touched."""

    def _raise(self, *_: object) -> NoReturn:
        raise RuntimeError("touched")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _raise
    __hash__ = __bool__ = __len__ = __iter__ = __str__ = __int__ = __float__ = __index__ = _raise
    __getitem__ = _raise

    def __repr__(self) -> str:
        return "Raises()"


class _Unbound:
    """Like a request-local proxy outside a request: it raises even when asked for its class."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("outside a request")

    @__class__.setter
    def __class__(self, value: object) -> None:
        raise RuntimeError("outside a request")

    def __repr__(self) -> str:
        return "Unbound()"


class _Text(str):
    """Text with opinions of its own on equality, length and encoding."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    __hash__ = str.__hash__

    def encode(self, *_: object) -> bytes:
        raise RuntimeError("encoded")

    def casefold(self) -> str:
        raise RuntimeError("folded")


class _Number(int):
    """A whole number that refuses to be compared or printed."""

    def __lt__(self, other: object) -> bool:
        raise RuntimeError("compared")

    __gt__ = __le__ = __ge__ = __lt__

    def __str__(self) -> str:
        raise RuntimeError("printed")


class _Broken(Mapping[str, Any]):
    """A mapping that cannot be read, like a lazily loaded session whose store is down."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("the session store is down")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("the session store is down")

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "Broken()"


class _Given(dict[Any, Any]):
    """A mapping whose text never fails: what cannot be shown would hide the failure that it caused."""

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name!r}: {_shown(value)}" for name, value in self.items()) + "}"


def _shown(value: Any) -> str:
    try:
        return repr(value)[:200]
    except Exception as error:  # noqa: BLE001 - whatever it raises, it is only shown
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"


def _same(value: Any) -> Any:
    return value


def _recursive_list() -> list[Any]:
    found: list[Any] = ["a"]
    found.append(found)
    return found


def _recursive_mapping() -> dict[str, Any]:
    found: dict[str, Any] = {"a": 1}
    found["country"] = found["b"] = found
    return found


def _deep(levels: int, *, mapping: bool) -> Any:
    found: Any = "DE"
    for _ in range(levels):
        found = {"country": found} if mapping else [found]
    return found


_PLAIN: list[Any] = [
    *(b"DE", b"\xff", bytearray(b"u-1"), memoryview(b"DE")),
    *(float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1e308),
    *(10**5000, -(10**400), 2**64, True),
    *("\ud800", "DE\udfff", "x" * 10_000, "9" * 5_000, "\0", "a" * 511 + "!", "١٢", "1_000", "0x10"),
    *(Decimal("1.5"), Decimal("sNaN"), 1j, ..., object, NotImplemented, range(3)),
    *(datetime(2027, 1, 4, tzinfo=timezone(timedelta(hours=5))), datetime(2027, 1, 4)),  # noqa: DTZ001 - naive on purpose
    *({"DE", "FR"}, frozenset({1}), deque(["DE"]), ("DE", "FR"), ((),), {1: "DE", None: "FR"}),
]
_MADE: list[Callable[[], Any]] = [
    *(_Raises, _Unbound, _Broken, _recursive_list, _recursive_mapping),
    lambda: _Text("DE"),
    lambda: _Number(18),
    lambda: _deep(5_000, mapping=True),
    lambda: _deep(5_000, mapping=False),
    lambda: [_Raises(), "DE"],
    lambda: {"country": _Raises()},
    lambda: (each for each in ("DE",)),
]
# Made after the draw: Hypothesis looks at what it draws, and some of these cannot even be asked for their class.
_VALUES: st.SearchStrategy[Callable[[], Any]] = st.sampled_from([*(partial(_same, value) for value in _PLAIN), *_MADE])
_HOSTILE_NAMES = st.lists(st.sampled_from([*_NAMES, "scores"]), max_size=4)
_SORTS = st.sampled_from(["mapping"] * 4 + ["odd names", "context", "odd attributes", "attributes", "no context"])
_NO_CONTEXTS: st.SearchStrategy[Callable[[], Any]] = st.sampled_from(
    [*(partial(_same, value) for value in (5, "u-1", b"u-1", ["user_id"], Context)), _Broken, _Raises]
)


@st.composite
def hostile_contexts(draw: st.DrawFn) -> Any:
    """Return what should never be given as a context: values that raise, lie, nest for ever, or no context at all."""
    given = _Given({name: draw(_VALUES)() for name in draw(_HOSTILE_NAMES)})
    match draw(_SORTS):
        case "odd names":
            return _Given({**given, 1: "x", None: "y", ("a", "b"): "z", "\ud800": 0})
        case "context":
            return Context(**{name: value for name, value in given.items() if name in _FIELDS})
        case "odd attributes":
            return Context(user_id="u-1", attributes=draw(_VALUES)())
        case "attributes":
            return _Given({**given, "attributes": draw(_VALUES)()})
        case "no context":
            return draw(_NO_CONTEXTS)()
        case _:
            return given
