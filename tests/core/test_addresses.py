"""Addresses and networks, against the standard library's own."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow.core.addresses import Networks, address, network

v4 = st.ip_addresses(v=4)
v6 = st.ip_addresses(v=6)
networks = st.one_of(
    st.tuples(v4, st.integers(0, 32)).map(lambda pair: ipaddress.ip_network(pair, strict=False)),
    st.tuples(v6, st.integers(0, 128)).map(lambda pair: ipaddress.ip_network(pair, strict=False)),
)


def holds(nets, value):
    return address(value) in Networks.of([network(one) for one in nets])


@given(st.lists(networks, min_size=1, max_size=8), v4 | v6)
def test_a_network_holds_what_the_standard_library_says(nets, value):
    if value.version == 6 and value.ipv4_mapped:
        return

    assert holds(map(str, nets), str(value)) == any(value in net for net in nets)


@given(networks, st.data())
def test_a_network_holds_its_own_addresses(net, data):
    inside = net[data.draw(st.integers(0, net.num_addresses - 1))]

    assert holds([str(net)], str(inside))
    assert holds([str(net)], inside)
    assert holds([f"{inside}/{net.prefixlen}"], str(net[0]))


@given(v4, st.integers(0, 32))
def test_a_mapped_address_is_in_the_networks_of_the_address_it_maps(value, length):
    net = f"{value}/{length}"

    assert holds([net], f"::ffff:{value}")
    assert holds([net], ipaddress.ip_address(f"::ffff:{value}"))
    assert holds([f"::ffff:{value}/{96 + length}"], str(value))
    assert holds(["::/0"], f"::ffff:{value}")


@pytest.mark.parametrize(
    ("net", "value", "expected"),
    [
        ("10.0.0.1", "10.0.0.1", True), ("10.0.0.1", "10.0.0.2", False), ("10.9.9.9/8", "10.0.0.1", True),
        ("0.0.0.0/0", "255.255.255.255", True), ("0.0.0.0/0", "::1", False), ("::/0", "10.0.0.1", False),
        ("fe80::1", "fe80::1%eth0", True), ("fe80::/10", "fe80::1%eth0", True), ("2001:db8::/32", "2001:DB8::5", True),
        ("::ffff:0:0/96", "1.2.3.4", True), ("::1", "0:0:0:0:0:0:0:1", True),
        ("::ffff:10.0.0.0/104", "11.0.0.0", False),
    ],
)  # fmt: skip
def test_networks(net, value, expected):
    assert holds([net], value) is expected


@pytest.mark.parametrize(
    "value",
    [
        "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.04", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4/32",
        "1.2.3.4:80", "0x1.2.3.4",
        "1.2.3.-4", "1.2.3.٤", "1.2.3.4%eth0", "::1%", "::g", ":::", "1:2", "::1::", "[::1]", "::1/128", "localhost",
        ":" * 100_000,
        16909060, b"1234", True, None, ["1.2.3.4"], ipaddress.ip_network("10.0.0.0/8"),
    ],
)  # fmt: skip
def test_what_is_no_address(value):
    assert address(value) is None


@pytest.mark.parametrize(
    "value",
    [
        "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/08", "1.2.3.4/", "1.2.3.4/255.0.0.0", "1.2.3.4/8/8", "/8", "::/129",
        "::1 /8", "x/8", 10,
        None, "1.2.3.4/٨", "1.2.3.4/+8",
    ],
)  # fmt: skip
def test_what_is_no_network(value):
    assert network(value) is None


def test_a_look_up_does_not_walk_through_the_networks():
    known = Networks.of([network(f"10.{a}.{b}.0/24") for a in range(256) for b in range(256)])

    assert len(known.v4) == 1
    assert address("10.7.7.7") in known
    assert address("11.7.7.7") not in known
