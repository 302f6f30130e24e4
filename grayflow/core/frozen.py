"""
JSON values that refuse mutation.

Decisions are shared between all callers, so a caller that changed a JSON variant would change it for everybody.
They are real `dict` and `list` objects, because every JSON encoder knows those; `copy.deepcopy` and `pickle` give
plain ones.
"""

from typing import Any, NoReturn

__all__ = ["FrozenDict", "FrozenList", "freeze", "thaw"]


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("the value of a flag is shared and cannot be changed; copy.deepcopy() gives a copy of your own")


class FrozenDict(dict[str, Any]):
    """A JSON object that cannot be changed."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        """Return a plain `dict` with plain contents."""
        return {key: thaw(value) for key, value in self.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a plain `dict`."""
        return dict, (dict(self),)


class FrozenList(list[Any]):
    """A JSON array that cannot be changed."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __deepcopy__(self, memo: object) -> list[Any]:
        """Return a plain `list` with plain contents."""
        return [thaw(value) for value in self]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a plain `list`."""
        return list, (list(self),)


def freeze(value: Any) -> Any:
    """Return the JSON value with all objects and arrays frozen."""
    if isinstance(value, dict):
        return FrozenDict((key, freeze(inner)) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return FrozenList(freeze(inner) for inner in value)
    return value


def thaw(value: Any) -> Any:
    """Return a frozen JSON value as plain, changeable objects."""
    return value.__deepcopy__({}) if isinstance(value, FrozenDict | FrozenList) else value
