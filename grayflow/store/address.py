"""
Where a Redis is and how to reach it, as facts.

A Struct of our own, and not a URL handed on, because in redis-py 8.1.0 options in a URL beat keyword arguments:
`ssl_cert_reqs=none` in a configuration file would switch verification off without a word.
"""

import re
from ipaddress import IPv6Address
from typing import Literal
from urllib.parse import quote

import msgspec

from grayflow.errors import ConfigurationError
from grayflow.store._url import Url, check_options, decoded, seconds, split_url, whole_number

__all__ = ["SCHEMES", "RedisAddress", "RedisMode"]

RedisMode = Literal["standalone", "sentinel", "cluster"]

SCHEMES: dict[str, tuple[RedisMode, bool]] = {
    "redis": ("standalone", False),
    "rediss": ("standalone", True),
    "unix": ("standalone", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
"""Scheme -> mode and whether it is encrypted."""

_TEXTS = frozenset({"username", "password", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_SENTINEL_TEXTS = frozenset({"sentinel_username", "sentinel_password"})
_SECONDS = frozenset({"timeout", "connect_timeout"})
_MOST_DATABASES = 1_000_000


class RedisAddress(msgspec.Struct, frozen=True, kw_only=True):
    """
    One Redis, a group of Sentinels that know one, or a cluster.

    Raises:
        ConfigurationError: the facts contradict each other.
    """

    mode: RedisMode = "standalone"
    hosts: tuple[tuple[str, int], ...] = ()
    """The server, the Sentinels or the start nodes of the cluster, each as name and port; empty with `unix_path`."""

    unix_path: str | None = None
    """Path of the server's socket, `standalone` only."""

    service: str | None = None
    """The name under which the Sentinels know the master."""

    db: int = 0
    """Number of the database; a cluster has 0 only."""

    username: str | None = None
    password: str | None = None
    sentinel_username: str | None = None
    """For the Sentinels themselves: the other pair is for the master they name."""
    sentinel_password: str | None = None

    tls: bool = False
    """Encrypted, chain and host name verified; there is no way to switch the verification off."""
    ssl_ca_certs: str | None = None
    """PEM file of the authorities to trust; `None`: those of the system."""
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None

    timeout: float = 2.0
    """Longest wait for one answer, seconds."""
    connect_timeout: float = 1.5
    """Longest wait for a connection, seconds."""

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ConfigurationError(problem)

    @classmethod
    def from_url(cls, url: str) -> "RedisAddress":
        """
        Read a URL; its schemes are the keys of `SCHEMES`.

        `redis://[user:password@]host[:port][/db]`, `unix://[user:password@]/path?db=0`,
        `redis+sentinel://host[:port],host[:port]/service[/db]`, `redis+cluster://host[:port],...`. `rediss` instead
        of `redis` encrypts, the way to the Sentinels included. Options: those fields of this class that the path
        does not hold, and `ssl_cert_reqs=required`, which changes nothing.

        Raises:
            ConfigurationError: it is not of that form, an option is unknown, or verification would be off.
        """
        return _from_url(split_url(url))

    @property
    def safe_url(self) -> str:
        """
        The URL without secrets, for messages, logs and `Store.place`.

        The user's name is shown only beside a password: alone it is often a password in the wrong place.
        """
        if self.unix_path is not None:
            return f"unix://{self._user()}{quote(self.unix_path)}?db={self.db}"
        scheme = ("rediss" if self.tls else "redis") + ("" if self.mode == "standalone" else f"+{self.mode}")
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        service = f"/{quote(self.service, safe='')}" if self.service else ""
        return f"{scheme}://{self._user()}{hosts}{service}" + ("" if self.mode == "cluster" else f"/{self.db}")

    def _user(self) -> str:
        if self.password is None:
            return "" if self.username is None else "***@"
        return f"{quote(self.username or '', safe='')}:***@"

    def __repr__(self) -> str:
        return f"RedisAddress({self.safe_url!r})"

    __str__ = __repr__


def _problem(address: RedisAddress) -> str | None:
    """Return what is wrong, in words that repeat no secret."""
    local = address.unix_path is not None
    if local and (address.hosts or address.mode != "standalone" or address.tls):
        return "a unix socket has no hosts, no Sentinel, no cluster and no TLS"
    if not local and not address.hosts:
        return "a Redis address needs a host"
    if address.mode == "standalone" and len(address.hosts) > 1:
        return "several hosts mean Sentinel or a cluster: write redis+sentinel:// or redis+cluster://"
    if (address.mode == "sentinel") != bool(address.service):
        return "Sentinels, and only they, need the name of a service: redis+sentinel://host:26379/service/0"
    if address.db < 0 or (address.mode == "cluster" and address.db):
        return f"there is no database {address.db} here; a cluster has 0 only"
    return _credentials_problem(address) or _limits_problem(address)


def _credentials_problem(address: RedisAddress) -> str | None:
    for user, password in (("username", "password"), ("sentinel_username", "sentinel_password")):
        if getattr(address, user) is not None and getattr(address, password) is None:
            return f"a {user} without a {password}; a password alone is written redis://:PASSWORD@host"
    if not address.tls and (address.ssl_ca_certs or address.ssl_certfile or address.ssl_keyfile):
        return "certificate files are given but TLS is not: write rediss://"
    if address.ssl_keyfile and not address.ssl_certfile:
        return "ssl_keyfile is given without its ssl_certfile"
    return None


def _limits_problem(address: RedisAddress) -> str | None:
    if not (0 < address.timeout <= 3600 and 0 < address.connect_timeout <= 3600):
        return "timeout and connect_timeout are more than 0 and at most 3600 seconds"
    return None


def _from_url(url: Url) -> RedisAddress:
    if url.scheme not in SCHEMES:
        raise ConfigurationError(f"{url.scheme!r} is not a Redis URL's scheme; known: {', '.join(SCHEMES)}")
    if "@" in url.path and url.scheme != "unix":
        raise ConfigurationError("the path of the store URL holds an @; write / in a password as %2F, ? as %3F")
    mode, tls = SCHEMES[url.scheme]
    facts: dict[str, object] = {"mode": mode, "tls": tls, **_credentials(url)}
    if url.scheme == "unix":
        facts["unix_path"] = _socket_path(url)
    else:
        facts["hosts"] = _hosts(url, 26379 if mode == "sentinel" else 6379)
        facts.update(_path(url, mode))
    facts.update(_read_options(url, mode, facts))
    return RedisAddress(**facts)  # type: ignore[arg-type]


def _credentials(url: Url) -> dict[str, object]:
    if url.userinfo is None:
        return {}
    user, colon, password = url.userinfo.partition(":")
    facts: dict[str, object] = {}
    if user:
        facts["username"] = decoded(user, "the user name")
    if colon and password:
        facts["password"] = decoded(password, "the password")
    return facts


def _socket_path(url: Url) -> str:
    if url.place:
        raise ConfigurationError("a unix:// URL names a socket by its absolute path: unix:///run/redis.sock")
    path = decoded(url.path, "the path")
    if path in {"", "/"}:
        raise ConfigurationError("a unix:// URL needs the path of the socket: unix:///run/redis.sock")
    return path


def _hosts(url: Url, default_port: int) -> tuple[tuple[str, int], ...]:
    return tuple(_host(text, default_port, url.scheme) for text in url.place.split(","))


def _host(text: str, default_port: int, scheme: str) -> tuple[str, int]:
    found = re.fullmatch(r"(\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(:(?P<port>[^:]*))?", text)
    if found is None:
        # An empty host is refused too: redis-py 8.1.0 would go to localhost, wherever a variable was left empty.
        raise ConfigurationError(
            f"a host of the store URL is missing or malformed; write {scheme}://HOST:{default_port}, "
            "IPv6 as [::1]; special characters in a password must be percent-encoded"
        )
    if found["v6"]:
        try:
            IPv6Address(found["v6"])
        except ValueError:
            raise ConfigurationError("a host of the store URL is in brackets but no IPv6 address") from None
    port = default_port if found["port"] is None else whole_number(found["port"], "a port", most=65535)
    if not port:
        raise ConfigurationError("a port of the store URL is 0; ports begin with 1")
    return found["v6"] or found["name"], port


def _path(url: Url, mode: RedisMode) -> dict[str, object]:
    steps = url.path.removeprefix("/").removesuffix("/").split("/") if url.path.strip("/") else []
    facts: dict[str, object] = {}
    if mode == "sentinel" and steps:
        facts["service"] = decoded(steps.pop(0), "the service")
    if len(steps) > 1:
        raise ConfigurationError("the path of the store URL has too many parts; a / in a password is written %2F")
    if steps:
        facts["db"] = whole_number(steps[0], "the database", most=_MOST_DATABASES)
    return facts


def _read_options(url: Url, mode: RedisMode, given: dict[str, object]) -> dict[str, object]:
    texts = _TEXTS | _SENTINEL_TEXTS if mode == "sentinel" else _TEXTS
    if url.options.get("ssl_cert_reqs", "required") != "required" or "ssl_check_hostname" in url.options:
        raise ConfigurationError(
            "certificates and host names are always verified; name your own authority with ssl_ca_certs=FILE"
        )
    check_options(url, texts | _SECONDS | {"db", "ssl_cert_reqs"})
    facts: dict[str, object] = {}
    for name, value in url.options.items():
        if name in given:
            raise ConfigurationError(f"the store URL gives {name!r} twice, as an option and before it")
        if name in _SECONDS:
            facts[name] = seconds(value, f"option {name!r}")
        elif name == "db":
            facts[name] = whole_number(value, "option 'db'", most=_MOST_DATABASES)
        elif name != "ssl_cert_reqs":
            facts[name] = value
    return facts
