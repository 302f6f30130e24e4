"""The ports of throw-away servers belong to one test at a time, also while nobody listens there."""

import socket
from collections.abc import Callable

import pytest

from tests import ports
from tests.ports import ReservedPort, free_port
from tests.servers import RedisServer

Draw = Callable[..., None]


class Draws:
    """A source of numbers that are known before."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = iter(numbers)

    def randrange(self, _start: int, _stop: int) -> int:
        return next(self._numbers)


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Say which ports are drawn next."""
    return lambda *numbers: monkeypatch.setattr(ports, "_random", Draws(*numbers))


@pytest.fixture
def spare() -> int:
    """Reserve a port and release it again."""
    port = ReservedPort()
    port.release()
    return port.number


def test_the_port_of_a_killed_server_is_given_to_nobody_else(spare: int, draw: Draw) -> None:
    with RedisServer() as server:
        server.kill()
        draw(server.port, spare)

        assert free_port() == spare


def test_the_port_of_a_stopped_server_is_given_again(draw: Draw) -> None:
    with RedisServer() as server:
        pass
    draw(server.port)

    assert free_port() == server.port


def test_a_port_that_was_asked_for_is_kept(spare: int, draw: Draw) -> None:
    port = free_port()
    draw(port, spare)

    assert free_port() == spare


@pytest.mark.parametrize("bus", [0, ports.CLUSTER_BUS])
def test_a_port_on_which_somebody_listens_is_left_to_them(bus: int, spare: int, draw: Draw) -> None:
    taken = ReservedPort()
    taken.release()
    with socket.create_server(("127.0.0.1", taken.number + bus)):
        draw(taken.number, spare)

        assert free_port() == spare
