"""flagd's targeting as rules: which variant an expression names, and for whom."""

from collections.abc import Iterator, Mapping
from typing import Any

from grayflow.admin.moving.flagd.conditions import Conditions
from grayflow.admin.moving.flagd.logic import UnsayableError, constant, is_constant, of_it, plain_variable
from grayflow.admin.moving.flagd.shares import Shares
from grayflow.admin.moving.remarks import Ledger
from grayflow.admin.moving.wording import NEVER, attribute, exists, flat, is_kind, opposite
from grayflow.core.flag import Condition, Rule, Split
from grayflow.core.foreign import jsonlogic
from grayflow.core.foreign.flagd import IT
from grayflow.core.foreign.jsonlogic import operation

__all__ = ["Targeting"]

When = tuple[Condition, ...]

_TRUE_OR_FALSE = {"==", "===", "!=", "!==", "<", "<=", ">", ">=", "!", "!!", "in", "all", "some", "none"}


class Targeting:
    """
    Translates the targeting of one flag.

    The rules that stand for an expression answer everybody who meets what stands before it, so that those behind
    them need not say that it failed.

    Args:
        variants: Its variants.
        default: Where targeting names none, `None` for the caller's default.
        conditions: Translates conditions.
        ledger: For remarks.
    """

    def __init__(
        self, variants: Mapping[str, Any], default: str | None, conditions: Conditions, ledger: Ledger
    ) -> None:
        self._variants, self._default = variants, default
        self._conditions, self._ledger = conditions, ledger

    def rules(self, expression: Any, when: When = (), path: str = "targeting") -> Iterator[Rule]:
        """Yield the rules of an expression that names a variant."""
        try:
            found = list(self._rules(expression, when, path))
        except UnsayableError as error:
            self._ledger.left_out(path, str(error), "the caller's default is the answer there")
            found = [Rule(when=when, serve=None)]
        yield from found

    def _rules(self, expression: Any, when: When, path: str) -> Iterator[Rule]:
        if is_constant(expression):
            yield Rule(when=when, serve=self._named(constant(expression), path))
            return
        found = operation(expression)
        name, arguments = found if found is not None else ("", [])
        path = f"{path}.{name}"
        if name in {"if", "?:"}:
            yield from self._branches(arguments, when, path)
        elif name in {"and", "or"}:
            yield from self._chain(arguments, when, path, stops=name == "or")
        elif name == "fractional":
            yield from self._shares(arguments, when, path)
        elif name == "var":
            yield from self._looked_up(expression, when, path)
        elif name in {"starts_with", "ends_with", "sem_ver"}:
            yield from self._perhaps(expression, arguments, when, path)
        elif name in _TRUE_OR_FALSE:
            yield Rule(when=flat([*when, self._conditions.holds(expression)]), serve=self._named(True, path))
            yield Rule(when=when, serve=self._named(False, path))
        else:
            raise UnsayableError(f"the name of the variant is computed by {name!r}")

    def _named(self, value: Any, path: str) -> str | None:
        """Return the variant that a value names, `None` for the caller's default."""
        if value is None:
            return self._default
        name = constant({"cat": [value]})
        if self._variants.get(name) is not None:
            return str(name)
        self._ledger.changed(path, f"there is no variant {name!r}", "the caller's default is the answer, as in flagd")
        return None

    def _holds(self, expression: Any, path: str) -> Condition:
        try:
            return self._conditions.holds(expression)
        except UnsayableError as error:
            self._ledger.left_out(path, str(error), "it counts as false")
            return NEVER

    def _branches(self, arguments: list[Any], when: When, path: str) -> Iterator[Rule]:
        for at in range(0, len(arguments) - 1, 2):
            tested = self._holds(arguments[at], f"{path}[{at}]")
            if tested != NEVER:
                yield from self.rules(arguments[at + 1], flat([*when, tested]), f"{path}[{at + 1}]")
        last = arguments[-1] if len(arguments) % 2 else None
        yield from self.rules(last, when, f"{path}[{len(arguments) - 1}]")

    def _chain(self, arguments: list[Any], when: When, path: str, *, stops: bool) -> Iterator[Rule]:
        """`or` names what its first true argument names, `and` its first false one; else the last."""
        for at, one in enumerate(arguments[:-1]):
            tested = self._conditions.holds(one)
            yield from self.rules(one, flat([*when, tested if stops else opposite(tested)]), f"{path}[{at}]")
        yield from self.rules(arguments[-1], when, f"{path}[{len(arguments) - 1}]")

    def _looked_up(self, expression: Any, when: When, path: str) -> Iterator[Rule]:
        """The attribute itself is the name."""
        found = plain_variable(expression)
        if found is None:
            raise UnsayableError("the default of `var` is computed")
        name, default = found
        where = self._conditions.path(name)
        for variant in self._variants:
            yield Rule(when=flat([*when, attribute(where, "in", variant, coerce="text")]), serve=variant)
        yield Rule(when=flat([*when, exists(where)]), serve=None)
        yield Rule(when=when, serve=self._named(default, path))

    def _perhaps(self, expression: Any, arguments: list[Any], when: When, path: str) -> Iterator[Rule]:
        """Operations that name nothing for what they cannot read."""
        found = plain_variable(arguments[0]) if arguments else None
        if found is None or found[1] is not None:
            raise UnsayableError("it names a variant after comparing what is no plain attribute")
        if self._is_null(of_it(expression)):
            yield Rule(
                when=when, serve=self._default
            )  # what it is compared with cannot be read, whatever the attribute
            return
        where = self._conditions.path(found[0])
        readable = self._conditions.is_version(where) if "sem_ver" in expression else is_kind(where, "text")
        yield Rule(when=flat([*when, self._conditions.holds(expression)]), serve=self._named(True, path))
        yield Rule(when=flat([*when, readable]), serve=self._named(False, path))
        yield Rule(when=when, serve=self._default)

    def _is_null(self, expression: Any) -> bool:
        """Tell whether an operation cannot read what it compares an attribute with."""
        try:
            return jsonlogic.evaluate(expression, {IT: "1.2.3"}) is None
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise UnsayableError(f"it cannot be evaluated: {error}") from error

    # Shares

    def _shares(self, arguments: list[Any], when: When, path: str) -> Iterator[Rule]:
        shares = self._conditions.shares(arguments)
        self._tell(shares, path)
        for way in range(len(shares.ways)):
            without = shares.without_id(way)
            if without is not None:
                yield Rule(when=flat([*when, without]), serve=self._default)
            yield from self._share(shares, way, when, path)
        yield Rule(when=when, serve=self._default)

    def _tell(self, shares: Shares, path: str) -> None:
        if any(not way.needs_text for way in shares.ways):
            what = "flagd also hashes numbers, as numbers, and other values"
            self._ledger.note(path, what, "whole numbers are hashed as text, other values have no share")

    def _share(self, shares: Shares, way: int, when: When, path: str) -> Iterator[Rule]:
        names: list[tuple[str, int, int]] = []
        plain = all(is_constant(serve) for serve, _, _ in shares.parts)
        for at, (serve, low, high) in enumerate(shares.parts):
            inside = flat([*when, shares.bucket(way, ((low, high),))])
            if not is_constant(serve):
                yield from self.rules(serve, inside, f"{path}[{at}]")
                continue
            name = self._named(constant(serve), f"{path}[{at}]")
            if name is None or not plain:
                yield Rule(when=inside, serve=name)
            else:
                names.append((name, low, high))
        if names:
            yield Rule(when=when, serve=self._split(shares, way, names))

    def _split(self, shares: Shares, way: int, names: list[tuple[str, int, int]]) -> Split:
        whole = sum(high - low for _, low, high in names) == shares.total
        at, said = shares.slot_of_missing(way), shares.ways[way]
        last = way == len(shares.ways) - 1
        absent = self._default if last else None
        if at is not None:
            absent = next((name for name, low, high in names if low <= at < high), None)
        return Split(
            weights=tuple((name, high - low) for name, low, high in names) if whole else None,
            ranges=None if whole else tuple(names),
            by=said.by,
            salt=said.salt,
            hash=shares.hashes[way],
            absent=absent,
        )
