"""
The contract of a board, as tests: what `grayflow.store.board` says in prose.

    class TestMyBoard(BoardContract):
        @pytest.fixture
        def clock(self):
            return FakeClock()

        @pytest.fixture
        def open_store(self, tmp_path, clock):
            return lambda: MyStore(tmp_path / "flags", clock=clock)

        @pytest.fixture
        def pass_time(self, clock):
            return clock.advance
"""

from grayflow.testing.contract.board.counters import Counting
from grayflow.testing.contract.board.kit import PassTime
from grayflow.testing.contract.board.lasting import Lasting
from grayflow.testing.contract.board.leases import Claiming, Fencing, Renewing
from grayflow.testing.contract.board.limits import Limiting
from grayflow.testing.contract.board.promising import Promising
from grayflow.testing.contract.board.racing import GivingUp, Racing
from grayflow.testing.contract.board.records import Comparing, Expiring, Keeping
from grayflow.testing.contract.board.sets import Collecting, Fading

__all__ = ["BoardContract", "PassTime"]


class BoardContract(
    Keeping,
    Comparing,
    Expiring,
    Claiming,
    Renewing,
    Fencing,
    Counting,
    Collecting,
    Fading,
    Limiting,
    Promising,
    Racing,
    GivingUp,
    Lasting,
):
    """
    Everything that the port of boards promises.

    Subclasses provide two fixtures. `open_store` is that of `StoreContract`; its stores have a board. `pass_time` is
    a function that is awaited with seconds and lets so much of the board's time pass: `FakeClock.advance` of the
    clock that the stores were given, or `SystemClock().sleep` where the time is a server's. No test depends on how
    much time really passes: what has to end ends soon and is waited for by `Board.now`, the rest lasts for minutes.
    """
