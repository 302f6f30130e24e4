"""
The grammar of a store's URL, before anybody knows what it means.

Not `urllib.parse`: it drops tabs and line ends without a word, takes `redis:host` for a path, and its errors repeat
what they could not read, which is where the password is. Nothing here says more of a URL than the name of a part.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from urllib.parse import unquote

import msgspec

from grayflow.errors import ConfigurationError

__all__ = ["Url", "check_options", "decoded", "seconds", "split_url", "whole_number"]

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(\?(?P<query>[^#]*))?(?P<fragment>#)?"
)
_ENCODE = "special characters in a user name or password must be percent-encoded: @ %40, / %2F, ? %3F, # %23, % %25"


class Url(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a URL, not decoded but for the values of its options."""

    scheme: str
    userinfo: str | None
    place: str
    """What stands between `@` and the path: hosts and ports."""
    path: str
    options: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Url({self.scheme}://...)"


def split_url(url: object) -> Url:
    """
    Take a URL apart.

    Raises:
        ConfigurationError: it is none. The text repeats nothing of it but its scheme.
    """
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError("no store URL is given; write redis://localhost:6379/0 or sqlite:///flags.db")
    if url != url.strip() or not url.isprintable():
        raise ConfigurationError("the store URL holds a line end, a tab or surrounding spaces; remove them")
    found = _URL.match(url)
    if found is None:
        raise ConfigurationError(
            "the store URL has no scheme with ://; write redis://localhost:6379/0, or sqlite:///flags.db for a file"
        )
    if found["fragment"]:
        raise ConfigurationError(f"the store URL holds a #, which has no meaning there; {_ENCODE}")
    userinfo, at, place = found["authority"].rpartition("@")
    return Url(
        scheme=found["scheme"].lower(),
        userinfo=userinfo if at else None,
        place=place,
        path=found["path"],
        options=_options(found["query"]),
    )


def _options(query: str | None) -> dict[str, str]:
    options: dict[str, str] = {}
    if query and "@" in query:  # what looks like an option may be half a password
        raise ConfigurationError(f"the options of the store URL hold an @; {_ENCODE}")
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        if not (re.fullmatch(r"[A-Za-z0-9_-]+", name) and equals and value):
            raise ConfigurationError("an option of the store URL is not of the form name=value")
        if name in options:
            raise ConfigurationError(f"option {name!r} of the store URL is given twice")
        options[name] = decoded(value, f"option {name!r}")
    return options


def check_options(url: Url, known: frozenset[str]) -> None:
    """
    Refuse options that nobody would read: a misspelt time-out must not be no time-out.

    Raises:
        ConfigurationError: there is one that is not in `known`.
    """
    for name in url.options:
        if name not in known:
            near = _nearest(name, known)
            hint = f"did you mean {near!r}? " if near else ""
            raise ConfigurationError(
                f"{url.scheme}:// URLs have no option {name!r}; {hint}Known: {', '.join(sorted(known)) or 'none'}"
            )


def _nearest(name: str, known: frozenset[str]) -> str | None:
    # redis-py's own names end in ours: `socket_connect_timeout`.
    endings = sorted((ours for ours in known if name.endswith(f"_{ours}")), key=len)
    return endings[-1] if endings else next(iter(get_close_matches(name, known, 1)), None)


def decoded(text: str, part: str) -> str:
    """
    Undo percent-encoding. `+` is a plus sign.

    Raises:
        ConfigurationError: a `%` without two digits, bytes that are not UTF-8, a control character.
    """
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise ConfigurationError(
            f"{part} of the store URL: % must be followed by two hex digits; the sign itself is %25"
        )
    try:
        plain = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{part} of the store URL is not UTF-8 after percent-decoding") from None
    if re.search(r"[\x00-\x1f\x7f]", plain):
        raise ConfigurationError(f"{part} of the store URL holds a control character")
    return plain


def whole_number(text: str, part: str, *, most: int) -> int:
    """
    Read a number of at least 0.

    Raises:
        ConfigurationError: it is none, or more than `most`.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= most):
        raise ConfigurationError(f"{part} of the store URL must be a whole number from 0 to {most}; {_ENCODE}")
    return int(text)


def seconds(text: str, part: str) -> float:
    """
    Read a duration, `2` or `0.5`.

    Raises:
        ConfigurationError: it is none.
    """
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text):
        raise ConfigurationError(f"{part} of the store URL must be seconds, such as 2 or 0.5")
    return float(text)
