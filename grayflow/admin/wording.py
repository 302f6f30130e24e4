"""How parts of a flag are said in one line, for messages and tables."""

from grayflow.core.flag import Flag, Split

__all__ = ["percent_text", "rule_line", "rule_lines", "serve_text"]


def serve_text(serve: str | Split | None) -> str:
    """Return what a rule or `otherwise` serves, in words."""
    if serve is None:
        return "the caller's default"
    if isinstance(serve, str):
        return repr(serve)
    if serve.weights is not None:
        shares = (f"{percent_text(weight / 1000)} {name!r}" for name, weight in serve.weights)
    else:
        shares = (f"{low}..{high} {name!r}" for name, low, high in serve.ranges or ())
    return f"a split ({', '.join(shares)})"


def percent_text(percent: float) -> str:
    """Return a percentage with no more decimals than it has."""
    return f"{percent:.3f}".rstrip("0").rstrip(".") + " %"


def rule_line(flag: Flag, index: int) -> str:
    """Return one rule in words: its index and name, its share, its conditions counted, what it serves."""
    rule = flag.rules[index]
    name = f"{index}" if rule.name is None else f"{index} {rule.name!r}"
    share = "" if rule.percent is None else f" {percent_text(rule.percent)} of"
    whom = " everybody" if not rule.when else f" whoever meets {len(rule.when)} condition{'s' * (len(rule.when) > 1)}"
    return f"rule {name}:{share}{whom} is served {serve_text(flag.rule_serves(rule))}"


def rule_lines(flag: Flag) -> str:
    """Return all rules in words, one a line and indented, for the end of a message."""
    return "".join(f"\n  {rule_line(flag, index)}" for index in range(len(flag.rules)))
