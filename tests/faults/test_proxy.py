"""A bad network does what it says."""

import socket
from collections.abc import Iterator
from time import monotonic

import pytest

from tests.faults.proxy import Proxy
from tests.servers import RedisServer

pytestmark = pytest.mark.redis

PING, PONG = b"PING\r\n", b"+PONG\r\n"


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    with Proxy(redis_server.port) as running:
        yield running


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with connected(proxy) as connection:
        yield connection


def connected(proxy: Proxy) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
    assert ask(connection) == PONG
    return connection


def ask(connection: socket.socket, words: bytes = PING) -> bytes:
    connection.sendall(words)
    return connection.recv(100)


def test_what_is_swallowed_never_arrives_and_nobody_is_told(proxy: Proxy, client: socket.socket):
    proxy.swallow()

    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        ask(client)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.2) as new, pytest.raises(TimeoutError):
        ask(new)


def test_after_healing_new_connections_work_and_the_old_ones_never(proxy: Proxy, client: socket.socket):
    proxy.swallow()
    proxy.heal()

    with connected(proxy):
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ask(client)


def test_answers_are_lost_after_the_request_was_done(proxy: Proxy, client: socket.socket, redis_server: RedisServer):
    script = redis_server.ask("SCRIPT", "LOAD", "return redis.call('INCR', KEYS[1])")
    proxy.lose_answers(1, to=b"EVALSHA")

    assert ask(client) == PONG
    with pytest.raises(ConnectionResetError):
        ask(client, b"EVALSHA %b 1 proxied\r\n" % script)

    assert redis_server.ask("GETDEL", "proxied") == b"1"
    assert proxy.answers_lost == 1


def test_connections_are_reset(proxy: Proxy, client: socket.socket):
    proxy.cut()

    with pytest.raises(ConnectionResetError):
        client.recv(100)


def test_requests_and_answers_come_in_many_pieces(proxy: Proxy, client: socket.socket):
    proxy.drip()
    client.sendall(b"ECHO " + b"x" * 1000 + b"\r\n")

    answer = client.recv(2000)
    while not answer.endswith(b"x\r\n"):
        answer += client.recv(2000)

    # Counted where they are sent: on the way TCP may put them together again.
    assert proxy.pieces_sent > 2000
    assert answer == b"$1000\r\n" + b"x" * 1000 + b"\r\n"


@pytest.mark.parametrize("worsen", [lambda proxy: proxy.delay(0.1), lambda proxy: proxy.throttle(60)])
def test_everything_takes_longer(proxy: Proxy, client: socket.socket, worsen):
    worsen(proxy)
    began = monotonic()

    assert ask(client) == PONG
    proxy.throttle(0)
    ask(client)

    assert monotonic() - began >= 0.1
