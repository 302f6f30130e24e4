"""
The text form of ids, in which they are compared and bucketed.

A user who is `42` in one service and `"42"` in the next is one user, so both have the form `42`. What has no such
form (a float, a boolean, bytes, a lone surrogate that no other host could encode) counts as absent.
"""

from typing import Any

__all__ = ["id_text", "id_texts"]


def id_text(value: Any) -> str | None:
    """Return the text form of an id: text as it is, a whole number in decimal digits; `None` if it has none."""
    if isinstance(value, str):
        text = str.__str__(value)
        return text if text.isascii() or _encodable(text) else None
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return int.__repr__(value)
        except ValueError:  # CPython refuses to print more than 4,300 digits
            return None
    return None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def id_texts(ids: tuple[str | int, ...]) -> tuple[str | None, ...]:
    """
    Return the text forms of the ids of a decoded document.

    Those of the usual list, all of it text, are the list itself: no JSON that decodes holds what cannot be encoded. A
    hundred thousand calls would stop the event loop.
    """
    return ids if set(map(type, ids)) <= {str} else tuple(map(id_text, ids))  # type: ignore[return-value]
