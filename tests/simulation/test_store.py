"""The double is a store: without faults it keeps the contract that the real ones keep."""

from random import Random

import pytest

from grayflow.testing import StoreContract
from grayflow.testing.contract import OpenStore
from tests.simulation.network import Network
from tests.simulation.server import Server
from tests.simulation.store import SimulatedStore


class TestSimulatedStore(StoreContract):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        server, network = Server(), Network(Random(1))
        return lambda: SimulatedStore(server, network)
