"""
The contracts of a store and of its board, as tests.

`grayflow.store.port` says in prose what a store promises; this says it again so that a machine can check. It ships
with the package for whoever writes a store or a wrapper:

    class TestMyStore(StoreContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda: MyStore(tmp_path / "flags")

It needs pytest, and anyio's plugin, which comes with anyio. `grayflow.testing.contract.board` does the same for boards.
"""

from grayflow.testing.contract.board import BoardContract, PassTime
from grayflow.testing.contract.concurrency import Competing
from grayflow.testing.contract.following import Following
from grayflow.testing.contract.generations import Marking
from grayflow.testing.contract.history import Remembering
from grayflow.testing.contract.initialising import Initialising
from grayflow.testing.contract.kit import OpenStore
from grayflow.testing.contract.lifetime import Living
from grayflow.testing.contract.log import Logging
from grayflow.testing.contract.writing import Repeating, Writing

__all__ = ["BoardContract", "OpenStore", "PassTime", "StoreContract"]


class StoreContract(Initialising, Writing, Repeating, Marking, Logging, Following, Remembering, Competing, Living):
    """
    Everything that the port promises.

    Subclasses provide one fixture, `open_store`: a function without arguments that returns a store to enter. Each
    test gets a place of its own, empty at first; within a test every call opens the same data, as another instance
    where that is possible. What a store may leave out is asked by capability, such as `Store.keeps_all_history`.
    """
