"""From a tree back to text: for Python's `re`, compiled with `re.ASCII`, and for RE2. Both texts mean the same."""

from typing import Literal

from grayflow.core.pattern.charset import ALL, LARGEST, NEWLINE, Ranges, inverted
from grayflow.core.pattern.tree import Chars, Choice, Commit, Edge, Node, Repeat, Sequence

__all__ = ["Dialect", "has_inside", "render"]

Dialect = Literal["re", "re2"]

# re: before 3.14 `\B` is not found in empty text, where RE2 finds it; `(?!\b)` is the same everywhere.
_EDGES: dict[Dialect, dict[str, str]] = {
    "re": {"text_end": r"\Z", "inside": r"(?!\b)"},
    "re2": {"text_end": r"\z", "inside": r"\B"},
}
_NO_NEWLINE = inverted(NEWLINE)
_COMMON = {"text_start": r"\A", "line_start": "(?m:^)", "line_end": "(?m:$)", "word": r"\b"}


def render(node: Node, dialect: Dialect) -> str:
    """Write a tree out."""
    match node:
        case Chars(ranges=ranges):
            return _chars(ranges, dialect)
        case Edge(where=where):
            return (_COMMON | _EDGES[dialect])[where]
        case Sequence(items=items):
            return "".join((_grouped if isinstance(item, Choice) else render)(item, dialect) for item in items)
        case Choice(options=options):
            return "|".join(render(option, dialect) for option in options)
        case Repeat(body=body, least=least, most=most):
            inner = render(body, dialect) if isinstance(body, Chars) else _grouped(body, dialect)
            return inner + _count(least, most)
        case Commit(gap=gap, tail=tail):
            return f"(?>{_chars(gap, dialect)}*?{_grouped(tail, dialect)})"


def has_inside(node: Node) -> bool:
    r"""Whether there is a `\B` in a tree."""
    match node:
        case Edge(where=where):
            return where == "inside"
        case Sequence(items=parts) | Choice(options=parts):
            return any(map(has_inside, parts))
        case Repeat(body=body):
            return has_inside(body)
        case _:
            return False


def _grouped(node: Node, dialect: Dialect) -> str:
    return f"(?:{render(node, dialect)})"


def _count(least: int, most: int | None) -> str:
    common = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most))
    if common is not None:
        return common
    return f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"


def _chars(ranges: Ranges, dialect: Dialect) -> str:
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return _char(ranges[0][0], dialect)
    if ranges == ALL:
        return "(?s:.)"
    if ranges == _NO_NEWLINE:
        return "."
    if not ranges:
        return f"[^{_members(ALL, dialect)}]"
    negative = ranges[0][0] == 0 and ranges[-1][1] == LARGEST
    return f"[^{_members(inverted(ranges), dialect)}]" if negative else f"[{_members(ranges, dialect)}]"


def _members(ranges: Ranges, dialect: Dialect) -> str:
    return "".join(
        _char(low, dialect) if low == high else f"{_char(low, dialect)}-{_char(high, dialect)}" for low, high in ranges
    )


def _char(code: int, dialect: Dialect) -> str:
    if chr(code).isascii() and chr(code).isalnum():
        return chr(code)
    if dialect == "re2":
        return f"\\x{{{code:x}}}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
