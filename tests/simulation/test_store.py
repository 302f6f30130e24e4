"""The double is a store: without faults it keeps the contract that the real ones keep."""

from random import Random

import pytest

from grayflow.testing import StoreContract
from grayflow.testing.contract import OpenStore
from tests.simulation.network import Network
from tests.simulation.server import Server
from tests.simulation.store import SimulatedStore


class TestSimulatedStore(StoreContract):
    @pytest.fixture(params=[0.0, 0.0005], ids=["near", "far"])
    def open_store(self, request: pytest.FixtureRequest) -> OpenStore:
        server, network = Server(), Network(Random(1), latency_s=request.param)
        return lambda: SimulatedStore(server, network)
