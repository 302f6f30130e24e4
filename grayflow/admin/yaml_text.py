"""
YAML as flag sets need it: PyYAML with the scalars of YAML 1.2.

By YAML 1.1, which PyYAML speaks, `on` and `off` are booleans (our variants are called that), `12:30` is a number of
seconds and a date is an object that JSON does not have. Here they are text.
"""

import re
from typing import Any, ClassVar

from grayflow.errors import MissingExtraError

try:
    import yaml
except ImportError as error:
    raise MissingExtraError("yaml", needed_for="reading and writing YAML") from error

__all__ = ["dump", "load"]

_SCALARS = (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", r"^(?:<<)$", "<"),
)


def load(data: bytes) -> Any:
    """
    Return the values that a YAML text says.

    Raises:
        ValueError: it is no YAML, or names a field twice; the text says where.
    """
    try:
        return yaml.load(data, Loader=_Loader)  # noqa: S506 - a SafeLoader with fewer types
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def dump(value: Any) -> str:
    """Return JSON values as YAML that `load` reads back."""
    return str(
        yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=110)
    )


class _Loader(yaml.SafeLoader):
    """Reads the scalars above and refuses a name that is given twice."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]  # it is one in PyYAML 6.0, too

    def whole_number(self, node: yaml.ScalarNode) -> int:
        """Return decimal digits as a number; YAML 1.1 takes `010` for eight."""
        return int(self.construct_scalar(node))

    def mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        """Return a mapping whose names are all different."""
        self.flatten_mapping(node)
        found: dict[Any, Any] = {}
        for name_node, value_node in node.value:
            name = self.construct_object(name_node, deep=True)
            if not isinstance(name, str | int | float):
                raise yaml.constructor.ConstructorError(None, None, "a name must be plain", name_node.start_mark)
            if name in found:
                raise yaml.constructor.ConstructorError(None, None, f"{name!r} is given twice", name_node.start_mark)
            found[name] = self.construct_object(value_node, deep=True)
        return found


class _Dumper(yaml.SafeDumper):
    """Quotes what the loader, or one that speaks YAML 1.1, would take for something else than text."""

    def text(self, value: str) -> yaml.ScalarNode:
        """Return text as it stands, or escaped: PyYAML 6.0 folds line ends such as U+0085 into spaces elsewhere."""
        style = None if value.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", value, style=style)


for _tag, _pattern, _first in _SCALARS:
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.whole_number)
_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.mapping)
_Dumper.add_representer(str, _Dumper.text)
