"""The same work for everybody: flags, contexts, and what hand-written code would do instead of them."""

import json
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import msgspec
from mmh3 import hash as murmur3

from grayflow.core.context import Context

__all__ = ["CONTEXTS", "FLAGS", "WORKLOADS", "Workload", "many_flags"]

CONTEXTS = tuple(
    Context(user_id=f"user-{number}", country="DE", app_version="2.4.1", attributes={"plan": "pro", "age": 34})
    for number in range(10_000)
)


class Workload(msgspec.Struct, frozen=True):
    """One kind of decision: the flag that makes it, its default, and a closure that does it by hand."""

    name: str
    key: str
    default: Any
    floor: Callable[[Context], Any]


def _in_list(name: str, *values: Any) -> dict[str, Any]:
    return {"type": "attribute", "name": name, "op": "in", "values": list(values)}


_JSON = {name: {"model": name, "limits": [1, 2, 3], "weights": {"a": 0.1}} for name in "abcd"}

FLAGS: tuple[dict[str, Any], ...] = (
    {"key": "plain", "enabled": True},
    {"key": "half", "enabled": True, "otherwise": "off", "rules": [{"percent": 50, "serve": "on"}]},
    {"key": "three", "enabled": True, "otherwise": "off", "rules": [{"percent": 50, "serve": "on", "when": [
        _in_list("country", "DE", "FR"), _in_list("plan", "pro", "team"),
        {"type": "attribute", "name": "age", "op": "ge", "values": [18]}]}]},
    {"key": "list", "enabled": True, "otherwise": "off", "targets": {"on": [f"user-{n}" for n in range(0, 20_000, 2)]}},
    {"key": "twenty", "enabled": True, "otherwise": "off", "rules": [
        *({"when": [_in_list("country", f"X{number}")], "serve": "off"} for number in range(19)),
        {"when": [_in_list("country", "DE")], "serve": "on"}]},
    {"key": "json", "kind": "json", "enabled": True, "variants": _JSON, "otherwise": {
        "weights": [[name, 25_000] for name in _JSON]}},
)  # fmt: skip


def _half() -> Callable[[Context], bool]:
    return lambda context: murmur3(context.user_id, 77, False) < 1 << 31


def _three() -> Callable[[Context], bool]:
    countries, plans = frozenset({"DE", "FR"}), frozenset({"pro", "team"})
    return lambda context: (
        context.country in countries
        and context.attributes.get("plan") in plans
        and context.attributes.get("age", 0) >= 18
        and murmur3(context.user_id, 77, False) < 1 << 31
    )


def _list() -> Callable[[Context], bool]:
    ids = frozenset(f"user-{number}" for number in range(0, 20_000, 2))
    return lambda context: context.user_id in ids


def _twenty() -> Callable[[Context], bool]:
    rules = (*((frozenset({f"X{number}"}), False) for number in range(19)), (frozenset({"DE"}), True))

    def decide(context: Context) -> bool:
        country = context.country
        for values, answer in rules:
            if country in values:
                return answer
        return False

    return decide


def _json() -> Callable[[Context], Any]:
    starts, values = [1 << 30, 1 << 31, 3 << 30], tuple(_JSON.values())
    return lambda context: values[bisect_right(starts, murmur3(context.user_id, 77, False))]


WORKLOADS = (
    Workload("plain on", "plain", False, lambda _: True),
    Workload("unknown flag", "nope", False, lambda _: False),
    Workload("50 % rollout", "half", False, _half()),
    Workload("3 conditions + rollout", "three", False, _three()),
    Workload("10,000-id list", "list", False, _list()),
    Workload("20 rules, last matches", "twenty", False, _twenty()),
    Workload("JSON variant of 4", "json", None, _json()),
)


def many_flags(count: int) -> list[bytes]:
    """Return documents of about 300 bytes, as a service has them."""
    return [
        json.dumps(
            {"key": f"flag-{number}", "enabled": True, "otherwise": "off", "owner": f"team-{number % 17}",
             "description": "What this flag is for, in a sentence.", "tags": ["gray"],
             "rules": [{"name": "staff", "when": [_in_list("country", "DE", "FR")], "serve": "on"},
                       {"percent": number % 100, "serve": "on"}]}
        ).encode()
        for number in range(count)
    ]  # fmt: skip
