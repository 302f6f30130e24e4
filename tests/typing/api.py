"""What a user of grayflow writes; never run, but it must check under `mypy --strict` and `pyright` in strict mode."""

from datetime import timedelta
from typing import assert_type

from grayflow import (
    Admin,
    Client,
    ConflictError,
    Context,
    Decision,
    Flag,
    GrayflowError,
    HookDetails,
    InvalidFlagError,
    Reason,
    Snapshot,
)
from grayflow.testing.builders import flag, segment


class ShopContext(Context, frozen=True, kw_only=True):
    """The subject of this shop's decisions."""

    store_id: str | None = None


class Count:
    """A hook."""

    def after(self, details: HookDetails, decision: Decision) -> None:
        """Print what was decided."""
        print(details.key, decision.value)


async def load_plan(context: Context) -> str | None:
    """Fetch an attribute."""
    return None if context.user_id is None else "pro"


async def serve() -> None:
    """Use a client in the ways that the README shows."""
    client = Client(
        "redis://localhost:6379/0",
        namespace="shop",
        context_type=ShopContext,
        ttl=timedelta(seconds=5),
        on_failure={"variant": "off"},
        resolvers={"plan": load_plan},
        hooks=[Count()],
        last_good="flags.json",
    )
    async with client as flags:
        context = ShopContext(user_id="42", store_id="sz-7")
        assert_type(await flags.is_enabled("payment_v2", context), bool)
        assert_type(await flags.is_enabled("payment_v2", {"user_id": "42"}, default=True), bool)
        assert_type(await flags.value("page_size", context, default=50), int)
        assert_type(await flags.value("ranking", default="bm25"), str)
        assert_type(await flags.evaluate("ranking", context, default="bm25", freshness="confirmed"), Decision)
        assert_type(flags.peek("payment_v2", context), bool)
        with flags.scope(context):
            await flags.is_enabled("a")
        token = flags.position.token() if flags.position else ""
        async with flags.scope(context, at_least=token):
            await flags.wait_for(token, timeout=1)
        with flags.override({"cache.backend": "redis"}, payment_v2=True):
            print(flags.health)

        @flags.on_change("payment_v2")
        async def changed(old: Flag | None, new: Flag | None) -> None:
            print(old, new)

        await changed(None, None)


async def operate() -> None:
    """Change flags."""
    async with Admin("sqlite:///flags.db", namespace="shop", actor="ops") as admin:
        saved = await admin.create({"key": "payment_v2"}, reason="new payment code")
        assert_type(saved.after, Flag | None)
        await admin.set_percent("payment_v2", 10, reason="canary")
        try:
            await admin.edit(flag("payment_v2", enabled=True), expected=saved.revision)
        except ConflictError as error:
            print(error.expected, error.actual)
        await admin.rollback("payment_v2", to=saved.revision, reason="too early")


def decide() -> str | None:
    """Evaluate without a client or a store."""
    snapshot = Snapshot.build(
        flags=[flag("f", enabled=True, rules=[{"when": [{"type": "segment", "key": "staff"}], "serve": "on"}])],
        segments=[segment("staff", include=["u-1", 7])],
    )
    decision = snapshot.evaluate("f", {"user_id": "u-1"}, default=False)
    return decision.variant if decision.reason is Reason.TARGETING_MATCH else None


def explain(error: GrayflowError) -> str:
    """Say where the data is wrong, if that is it."""
    if isinstance(error, InvalidFlagError):
        return ", ".join(problem.path for problem in error.problems)
    return str(error)
