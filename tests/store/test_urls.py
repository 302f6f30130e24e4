"""From a URL to a store: what is meant is opened, what is doubtful is refused, and no secret is repeated."""

import copy
import pickle
import subprocess
import sys

import msgspec
import pytest

from grayflow.errors import ConfigurationError
from grayflow.store.address import RedisAddress
from grayflow.store.memory import MemoryStore
from grayflow.store.sqlite import SQLiteStore
from grayflow.store.urls import open_store

SECRET = "s3cr3t"


def test_memory_is_private_to_its_opener() -> None:
    one, two = open_store("memory://", namespace="shop"), open_store("memory://")

    assert isinstance(one, MemoryStore)
    assert (one.namespace, two.namespace) == ("shop", "default")
    assert one is not two


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///flags.db", "flags.db"),
        ("sqlite:///data/flags.db", "data/flags.db"),
        ("sqlite:////var/lib/flags.db", "/var/lib/flags.db"),
        ("SQLite:///flags.db", "flags.db"),
        ("sqlite:////tmp/a%20b%3F.db", "/tmp/a b?.db"),
        ("sqlite:////tmp/a b@c.db", "/tmp/a b@c.db"),
    ],
)
def test_a_file_is_named_as_in_sqlalchemy(url: str, path: str) -> None:
    store = open_store(url, namespace="shop")

    assert isinstance(store, SQLiteStore)
    assert store.place == SQLiteStore(path).place
    assert store.namespace == "shop"


def test_a_file_may_have_its_own_patience() -> None:
    with pytest.raises(ConfigurationError, match="busy_timeout is 4000"):
        open_store("sqlite:///flags.db?busy_timeout=4000")

    assert isinstance(open_store("sqlite:///flags.db?busy_timeout=0.5"), SQLiteStore)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite://flags.db", "three slashes"),
        ("sqlite://host/flags.db", "three slashes"),
        ("sqlite://", "path of a file"),
        ("sqlite:///", "path of a file"),
        ("sqlite:////", "path of a file"),
        ("sqlite:///data/", "path of a file"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite:flags.db", "no scheme with ://"),
        ("sqlite:///a%00b", "control character"),
        ("sqlite:///a%zz", "two hex digits"),
        ("sqlite:///a%ff", "not UTF-8"),
        ("sqlite:///a.db?mode=ro", "no option 'mode'"),
        ("sqlite:///a.db?busy_timeout=soon", "must be seconds"),
        ("sqlite:///a.db?busy_timeout=nan", "must be seconds"),
        ("memory://x", "private"),
        ("memory:///x", "private"),
        ("memory://?a=1", "no option 'a'; Known: none"),
        ("", "no store URL is given"),
        ("   ", "no store URL is given"),
        ("flags.db", "no scheme with ://"),
        ("localhost:6379", "no scheme with ://"),
        ("redis:localhost", "no scheme with ://"),
        ("redis:/localhost", "no scheme with ://"),
        ("://x", "no scheme with ://"),
        ("redis://localhost\n", "line end"),
        ("redis://local\thost", "line end"),
        (" redis://localhost", "line end"),
        ("postgresql://localhost/x", "there is no store for postgresql://"),
        ("redsi://localhost", "did you mean 'redis'"),
        ("redis+sentinal://a/b", "did you mean 'redis+sentinel'"),
    ],
)
def test_what_is_no_store_is_refused_with_the_remedy(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store(url)

    assert told in str(caught.value)


@pytest.mark.parametrize("url", [None, 7, b"redis://localhost"])
def test_what_is_no_text_is_refused(url) -> None:
    with pytest.raises(ConfigurationError, match="no store URL"):
        open_store(url)


@pytest.mark.parametrize("namespace", ["", "a b", "a" * 65, "{a}", "a/b", "ä", "a\n", None, 7])
@pytest.mark.parametrize("url", ["memory://", "sqlite:///flags.db"])
def test_a_namespace_that_cannot_be_one_is_refused(url: str, namespace) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a namespace"):
        open_store(url, namespace=namespace)


@pytest.mark.parametrize("namespace", ["a", "A.b_c-9", "x" * 64])
def test_a_namespace_of_plain_letters_is_taken(namespace: str) -> None:
    assert open_store("memory://", namespace=namespace).namespace == namespace


def address(**facts) -> RedisAddress:
    return RedisAddress(**{"hosts": (("localhost", 6379),), **facts})


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("redis://localhost", address()),
        ("redis://localhost/", address()),
        ("REDIS://localhost:6379/0", address()),
        ("redis://cache_1.internal:7000/12", address(hosts=(("cache_1.internal", 7000),), db=12)),
        ("redis://localhost?db=3", address(db=3)),
        ("redis://[::1]:7000/1", address(hosts=(("::1", 7000),), db=1)),
        ("redis://[2001:db8::1]", address(hosts=(("2001:db8::1", 6379),))),
        ("redis://:pw@localhost", address(password="pw")),
        ("redis://ada:pw@localhost", address(username="ada", password="pw")),
        ("redis://ada:p%40%2F%3F%23%25%3A+w@localhost", address(username="ada", password="p@/?#%:+w")),
        ("redis://ada:p:w@localhost", address(username="ada", password="p:w")),
        ("redis://localhost?username=ada&password=p%26w", address(username="ada", password="p&w")),
        ("redis://localhost?timeout=3&connect_timeout=0.25", address(timeout=3.0, connect_timeout=0.25)),
        ("rediss://localhost", address(tls=True)),
        ("rediss://localhost?ssl_cert_reqs=required", address(tls=True)),
        (
            "rediss://localhost?ssl_ca_certs=/etc/ca.pem&ssl_certfile=c.pem&ssl_keyfile=k.pem",
            address(tls=True, ssl_ca_certs="/etc/ca.pem", ssl_certfile="c.pem", ssl_keyfile="k.pem"),
        ),
        ("unix:///run/redis.sock", address(hosts=(), unix_path="/run/redis.sock")),
        ("unix://:pw@/run/a%20b.sock?db=2", address(hosts=(), unix_path="/run/a b.sock", db=2, password="pw")),
        (
            "redis+sentinel://a,b:7000,[::1]:7001/my%2Fmaster/2",
            address(mode="sentinel", hosts=(("a", 26379), ("b", 7000), ("::1", 7001)), service="my/master", db=2),
        ),
        (
            "rediss+sentinel://u:p@a/m?sentinel_username=s&sentinel_password=q",
            address(
                mode="sentinel",
                tls=True,
                hosts=(("a", 26379),),
                service="m",
                username="u",
                password="p",
                sentinel_username="s",
                sentinel_password="q",
            ),
        ),
        ("redis+cluster://a,b:7000", address(mode="cluster", hosts=(("a", 6379), ("b", 7000)))),
        ("rediss+cluster://a/0", address(mode="cluster", tls=True, hosts=(("a", 6379),))),
    ],
)
def test_a_redis_url_says_what_is_meant(url: str, meant: RedisAddress) -> None:
    assert RedisAddress.from_url(url) == meant


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://", "a host of the store URL is missing"),
        ("redis:///0", "a host of the store URL is missing"),
        ("redis://:6379/0", "a host of the store URL is missing"),
        (f"redis://:{SECRET}@", "a host of the store URL is missing"),
        ("redis://a,/0", "a host of the store URL is missing"),
        ("redis://a,b/0", "several hosts mean Sentinel or a cluster"),
        ("redis://ho st", "a host of the store URL is missing or malformed"),
        ("redis://[::1", "a host of the store URL is missing or malformed"),
        ("redis://[1:2]", "no IPv6 address"),
        ("redis://::1", "a host of the store URL is missing or malformed"),
        ("redis://a:0", "ports begin with 1"),
        ("redis://a:65536", "from 0 to 65535"),
        ("redis://a:-1", "from 0 to 65535"),
        ("redis://a:", "from 0 to 65535"),
        ("redis://a:٣", "from 0 to 65535"),
        ("redis://a/x", "whole number"),
        ("redis://a/-1", "whole number"),
        ("redis://a/1/2", "too many parts"),
        ("redis://a/1?db=1", "gives 'db' twice"),
        ("redis://a?db=1&db=1", "is given twice"),
        ("redis://u:p@a?username=b", "gives 'username' twice"),
        ("redis://a?timeout=0", "more than 0"),
        ("redis://a?timeout=9999", "at most 3600"),
        ("redis://a?timeout=1e3", "must be seconds"),
        ("redis://a?timeout=inf", "must be seconds"),
        ("redis://a?timeout=", "not of the form name=value"),
        ("redis://a?timeout", "not of the form name=value"),
        ("redis://a?&", "not of the form name=value"),
        ("redis://a?socket_timeout=3", "did you mean 'timeout'"),
        ("redis://a?socket_connect_timeout=3", "did you mean 'connect_timeout'"),
        ("redis://a?tiemout=3", "did you mean 'timeout'"),
        ("redis://a?protocol=3", "Known: connect_timeout, db"),
        ("redis://a?decode_responses=true", "no option 'decode_responses'"),
        ("redis://a?sentinel_password=x", "no option 'sentinel_password'"),
        ("rediss://a?ssl_cert_reqs=none", "always verified"),
        ("rediss://a?ssl_cert_reqs=optional", "always verified"),
        ("rediss://a?ssl_check_hostname=false", "always verified"),
        ("redis://a?ssl_ca_certs=x", "write rediss://"),
        ("rediss://a?ssl_keyfile=x", "without its ssl_certfile"),
        ("redis+sentinel://a", "need the name of a service"),
        ("redis+sentinel://a/", "need the name of a service"),
        ("redis+sentinel://a/m/1/2", "too many parts"),
        ("redis+cluster://a/1", "a cluster has 0 only"),
        ("redis+cluster://a?db=1", "a cluster has 0 only"),
        ("unix://run/redis.sock", "absolute path"),
        ("unix://", "path of the socket"),
        (f"redis://{SECRET}@a", "a username without a password"),
        (f"redis://:{SECRET}/x@a", "write / in a password as %2F"),
        (f"redis://:{SECRET}?x@a", "percent-encoded"),
        (f"redis://:a?{SECRET}=1@a", "percent-encoded"),
        (f"redis://:{SECRET}#x@a", "percent-encoded"),
        (f"redis://:{SECRET}%x@a", "two hex digits"),
        (f"redis://:{SECRET}%ff@a", "not UTF-8"),
        (f"redis://a:{SECRET}", "percent-encoded"),
        (f"redis://:{SECRET}@a:b", "a port"),
        (f"redis://a?{SECRET}", "not of the form"),
        (f"redis+sentinel://:x@a/m?sentinel_password={SECRET}&nonsense=1", "no option 'nonsense'"),
    ],
)
def test_a_doubtful_redis_url_is_refused_without_its_secret(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RedisAddress.from_url(url)

    assert told in str(caught.value)
    assert SECRET not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@a:1/2",
        f"rediss://ada:{SECRET}@a",
        f"unix://:{SECRET}@/run/redis.sock?db=3",
        f"redis+sentinel://:{SECRET}@a,b/m/1?sentinel_password={SECRET}",
        f"redis+cluster://a?password={SECRET}",
    ],
)
def test_a_secret_is_never_shown(url: str) -> None:
    found = RedisAddress.from_url(url)

    for shown in (
        repr(found),
        str(found),
        f"{found}",
        repr([found]),
        found.safe_url,
        repr(msgspec.structs.replace(found)),
    ):
        assert SECRET not in shown
        assert "***@" in shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://a:1/2",
        "rediss://[::1]:7000/0",
        "unix:///run/a%20b.sock?db=3",
        "redis+sentinel://a:1,b:2/my%2Fmaster/1",
        "rediss+cluster://a:1,b:2",
    ],
)
def test_a_url_without_secrets_reads_back(url: str) -> None:
    found = RedisAddress.from_url(url)

    assert found.safe_url == url
    assert RedisAddress.from_url(found.safe_url) == found


def test_an_address_can_be_copied_and_sent() -> None:
    found = RedisAddress.from_url(f"redis://ada:{SECRET}@a")

    assert copy.copy(found) == pickle.loads(pickle.dumps(found)) == found


@pytest.mark.parametrize(
    "facts",
    [
        {"hosts": ()},
        {"hosts": (("a", 1), ("b", 2))},
        {"unix_path": "/x"},
        {"mode": "sentinel"},
        {"service": "m"},
        {"db": -1},
        {"mode": "cluster", "db": 1},
        {"username": "u"},
        {"ssl_ca_certs": "x"},
        {"tls": True, "ssl_keyfile": "x"},
        {"timeout": 0},
        {"connect_timeout": float("nan")},
    ],
    ids=str,
)
def test_facts_that_contradict_each_other_are_refused(facts) -> None:
    with pytest.raises(ConfigurationError):
        address(**facts)


@pytest.mark.parametrize("url", ["memory://", "sqlite:///flags.db"])
def test_other_stores_do_not_load_redis(url: str) -> None:
    script = (
        f"import sys; from grayflow.store.urls import open_store; open_store({url!r}); print('redis' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
