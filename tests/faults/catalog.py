"""All faults, in the order of the table."""

from tests.faults import data, groups, networks, servers
from tests.faults.fault import Fault

__all__ = ["FAULTS"]

FAULTS: tuple[type[Fault], ...] = (*servers.FAULTS, *networks.FAULTS, *data.FAULTS, *groups.FAULTS)
