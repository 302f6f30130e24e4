"""
Where a Redis is and how to reach it, as facts.

`grayflow.store.urls` makes one from a URL and is the only place that does; the Redis store takes it as it is.
A Struct of our own, and not a URL handed on, because in redis-py 8.1.0 options in a URL beat keyword arguments:
`ssl_cert_reqs=none` in a configuration file would switch verification off without a word.
"""

from typing import Literal
from urllib.parse import quote

import msgspec

from grayflow.errors import ConfigurationError

__all__ = ["RedisAddress", "RedisMode"]

RedisMode = Literal["standalone", "sentinel", "cluster"]


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
    """For the Sentinels themselves, which take the other pair for nobody's."""
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
    if not address.tls and (address.ssl_ca_certs or address.ssl_certfile or address.ssl_keyfile):
        return "certificate files are given but TLS is not: write rediss://"
    if not (0 < address.timeout <= 3600 and 0 < address.connect_timeout <= 3600):
        return "timeouts are more than 0 and at most 3,600 seconds"
    return None
