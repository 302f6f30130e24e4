"""The module of typed flags: what stands in it, and what mypy makes of it."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayflow import Admin, BooleanFlag, Client, ConfigurationError, Context, Flag, MemoryStore, TypedFlag
from grayflow.cli.source.codegen import attribute_of, module_text

FLAGS = (
    Flag(key="payment_v2", description="New code", owner="payments", remove_by=date(2027, 4, 1)),
    Flag(key="cache.backend", kind="string", variants={"f": "file", "r": "redis"}, off="f"),
    Flag(key="limit", kind="float", variants={"a": 1}, off="a"),
    Flag(key="size", kind="integer", variants={"a": 1}),
    Flag(key="layout", kind="json", variants={"a": {"x": 1}}),
    Flag(key="gone", archived=True),
)


def text(*flags: Flag) -> str:
    return module_text(flags or FLAGS, class_name="ShopFlags", namespace="shop")


def test_every_flag_is_an_attribute_with_its_type_and_description():
    module = text()

    assert 'self.payment_v2 = BooleanFlag(client, "payment_v2", default=False)' in module
    assert '"""New code. Owner: payments. Remove by 2027-04-01."""' in module
    assert 'self.cache_backend: TypedFlag[str] = TypedFlag(client, "cache.backend", default="file")' in module
    assert 'self.limit: TypedFlag[float] = TypedFlag(client, "limit", default=1.0)' in module
    assert 'self.size: TypedFlag[int | None] = TypedFlag(client, "size", default=None)' in module
    assert 'self.layout: TypedFlag[Any] = TypedFlag(client, "layout", default=None)' in module
    assert "gone" not in module


def test_what_flags_serve_does_not_change_the_text():
    assert text(Flag(key="a")) == text(Flag(key="a", enabled=True, targets={"on": ("u1",)}))


@pytest.mark.parametrize(
    ("key", "name"), [("a-b", "a_b"), ("2fa", "_2fa"), ("class", "class_"), ("client", "client_"), ("A/b:c", "A_b_c")]
)
def test_a_key_becomes_an_identifier(key: str, name: str):
    assert attribute_of(key) == name


def test_two_keys_of_one_name_are_refused():
    with pytest.raises(ConfigurationError, match=r"flags 'a\.b' and 'a_b' would both be 'a_b'"):
        text(Flag(key="a.b"), Flag(key="a_b"))


@pytest.mark.parametrize("name", ["2", "class", "a b", ""])
def test_a_class_needs_a_name(name: str):
    with pytest.raises(ConfigurationError, match="cannot name a class"):
        module_text(FLAGS, class_name=name, namespace="shop")


@given(st.text(max_size=300), st.text(max_size=20))
def test_no_description_breaks_the_module(description: str, owner: str):
    module = text(Flag(key="a", description=description, owner=owner), Flag(key="b"))
    names: dict[str, object] = {}
    exec(compile(module, "m.py", "exec"), names)

    made = names["ShopFlags"](None)  # type: ignore[operator]
    assert set(vars(made)) == {"client", "a", "b"}


@pytest.mark.anyio
async def test_the_attributes_answer_as_the_client_does():
    async with Admin(MemoryStore(), actor="test") as admin:
        await admin.put({"key": "f", "enabled": True, "otherwise": "off", "targets": {"on": ["anna"]}})
        async with Client(admin.store) as client:
            flag, size = BooleanFlag(client, "f", default=False), TypedFlag(client, "size", default=7)
            anna = Context(user_id="anna")

            assert (await flag.is_enabled(anna), flag.peek(anna), flag.peek()) == (True, True, False)
            assert (await flag.value(anna), (await flag.evaluate(anna)).variant) == (True, "on")
            assert (await size.value(), size.peek_value()) == (7, 7)
            assert repr(size) == "TypedFlag('size', default=7)"


def test_mypy_finds_a_mistyped_flag_and_a_wrong_type(tmp_path: Path):
    (tmp_path / "shop_flags.py").write_text(text())
    (tmp_path / "use.py").write_text(
        "from shop_flags import ShopFlags\n"
        "async def use(shop: ShopFlags) -> None:\n"
        "    good: bool = await shop.payment_v2.is_enabled()\n"
        "    also: str = await shop.cache_backend.value()\n"
        "    await shop.paymnt_v2.is_enabled()\n"
        "    wrong: int = await shop.cache_backend.value()\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "use.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)

    if "No module named mypy" in done.stderr:
        pytest.skip("mypy is not installed here; the session `types` has it")
    assert [line.partition(": ")[0] for line in done.stdout.splitlines()] == ["use.py:5", "use.py:6"]
    assert 'has no attribute "paymnt_v2"' in done.stdout
