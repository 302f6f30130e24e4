"""
The OpenFeature provider: code that was written against the vendor-neutral API decides by grayflow's flags.

    async with Client(url, namespace="shop") as flags:
        api.set_provider(GrayflowProvider(flags))

Getters with `_async` await attributes that resolvers fetch; the others answer from memory. Neither does any I/O for
the flags themselves. Tracking is left out: grayflow counts nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent, ProviderEventDetails
from openfeature.exception import ErrorCode as OpenFeatureCode
from openfeature.exception import ProviderNotReadyError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.provider import AbstractProvider, Metadata

from grayflow.client.client import Client
from grayflow.client.states import HealthState
from grayflow.core.decision import Decision, ErrorCode
from grayflow.core.flag import Flag

__all__ = ["GrayflowProvider"]

Objects = Sequence[FlagValueType] | Mapping[str, FlagValueType]

_CODES: dict[ErrorCode, OpenFeatureCode] = {
    ErrorCode.PROVIDER_NOT_READY: OpenFeatureCode.PROVIDER_NOT_READY,
    ErrorCode.FLAG_NOT_FOUND: OpenFeatureCode.FLAG_NOT_FOUND,
    ErrorCode.PARSE_ERROR: OpenFeatureCode.PARSE_ERROR,
    ErrorCode.TYPE_MISMATCH: OpenFeatureCode.TYPE_MISMATCH,
    ErrorCode.TARGETING_KEY_MISSING: OpenFeatureCode.TARGETING_KEY_MISSING,
    ErrorCode.INVALID_CONTEXT: OpenFeatureCode.INVALID_CONTEXT,
}

_EVENTS: dict[HealthState, ProviderEvent] = {
    "fresh": ProviderEvent.PROVIDER_READY,
    "stale": ProviderEvent.PROVIDER_STALE,
    "expired": ProviderEvent.PROVIDER_ERROR,
    "failed": ProviderEvent.PROVIDER_ERROR,
    "closed": ProviderEvent.PROVIDER_ERROR,
}


class GrayflowProvider(AbstractProvider):
    """
    Answers OpenFeature's questions by a client.

    The targeting key is the `user_id`; the other attributes are the context's, under their names. Without an
    OpenFeature context the scope's counts. Reasons are ours: OpenFeature's words, and `SCHEDULED`,
    `PREREQUISITE_FAILED` and `OVERRIDE`. The flag metadata holds the flag's own, and `grayflow.revision`,
    `grayflow.stale` and `grayflow.rule`.

    Events: READY, STALE (not proved for a while), ERROR (expired, failed, closed), and CONFIGURATION_CHANGED with the
    key of each flag whose document changed.

    Args:
        flags: The client, which the application opens and closes.
    """

    def __init__(self, flags: Client) -> None:
        super().__init__()
        self._flags = flags
        flags.on_state(self._tell_state)
        flags.on_change(None, self._tell_change)

    def get_metadata(self) -> Metadata:
        """See the OpenFeature specification, 2.1.1."""
        return Metadata(name="grayflow")

    def initialize(self, evaluation_context: EvaluationContext) -> None:  # noqa: ARG002 - the SDK's signature
        """
        Pass if there are flags.

        Raises:
            ProviderNotReadyError: the client was not opened, or has none yet; READY follows when it has.
        """
        if self._flags.snapshot is None:
            health = self._flags.health
            raise ProviderNotReadyError(health.last_error or "the grayflow client has no flags yet")

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: FBT001 - the SDK's signature
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """See the OpenFeature specification, 2.2."""
        return self._now(flag_key, default_value, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """See the OpenFeature specification, 2.2."""
        return self._now(flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """See the OpenFeature specification, 2.2."""
        return self._now(flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """See the OpenFeature specification, 2.2."""
        return self._now(flag_key, float(default_value), evaluation_context)

    def resolve_object_details(
        self, flag_key: str, default_value: Objects, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Objects]:
        """See the OpenFeature specification, 2.2."""
        return self._now(flag_key, default_value, evaluation_context)

    async def resolve_boolean_details_async(
        self,
        flag_key: str,
        default_value: bool,  # noqa: FBT001 - the SDK's signature
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """As `resolve_boolean_details`, with attributes that are fetched."""
        return await self._awaited(flag_key, default_value, evaluation_context)

    async def resolve_string_details_async(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """As `resolve_string_details`, with attributes that are fetched."""
        return await self._awaited(flag_key, default_value, evaluation_context)

    async def resolve_integer_details_async(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """As `resolve_integer_details`, with attributes that are fetched."""
        return await self._awaited(flag_key, default_value, evaluation_context)

    async def resolve_float_details_async(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """As `resolve_float_details`, with attributes that are fetched."""
        return await self._awaited(flag_key, float(default_value), evaluation_context)

    async def resolve_object_details_async(
        self, flag_key: str, default_value: Objects, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Objects]:
        """As `resolve_object_details`, with attributes that are fetched."""
        return await self._awaited(flag_key, default_value, evaluation_context)

    def _now(self, key: str, default: Any, context: EvaluationContext | None) -> FlagResolutionDetails[Any]:
        return _details(self._flags.peek_decision(key, _context(context), default=default))

    async def _awaited(self, key: str, default: Any, context: EvaluationContext | None) -> FlagResolutionDetails[Any]:
        return _details(await self._flags.evaluate(key, _context(context), default=default))

    def _tell_state(self, before: HealthState, after: HealthState) -> None:
        message = f"the flags went from {before} to {after}"
        code = None
        if after == "failed":
            code = OpenFeatureCode.PROVIDER_FATAL
        elif after in {"expired", "closed"}:
            code = OpenFeatureCode.GENERAL
        self.emit(_EVENTS[after], ProviderEventDetails(message=message, error_code=code))

    def _tell_change(self, old: Flag | None, new: Flag | None) -> None:
        flag = new or old
        if flag is not None:
            self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=[flag.key]))


def _context(given: EvaluationContext | None) -> dict[str, Any] | None:
    """Return a context that a client takes; nothing if nothing is said, so that the scope's counts."""
    if given is None or not (given.targeting_key is not None or given.attributes):
        return None
    attributes = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in given.attributes.items()
    }
    if given.targeting_key is not None:
        attributes["user_id"] = given.targeting_key
    return attributes


def _details(decision: Decision) -> FlagResolutionDetails[Any]:
    metadata: dict[str, bool | int | float | str] = {
        **decision.metadata,
        "grayflow.revision": decision.revision,
        "grayflow.stale": decision.stale,
    }
    if decision.rule is not None:
        metadata["grayflow.rule"] = decision.rule
    return FlagResolutionDetails(
        value=decision.value,
        error_code=_code(decision.error),
        error_message=decision.detail or None,
        reason=decision.reason.value,
        variant=decision.variant,
        flag_metadata=metadata,
    )


def _code(error: ErrorCode | None) -> OpenFeatureCode | None:
    # An attribute that could not be fetched counts as absent, and an expired flag answers by its policy: both are
    # answers. With a code the SDK would throw them away and return the caller's default.
    if error is None or error in {ErrorCode.RESOLVER_FAILED, ErrorCode.EXPIRED}:
        return None
    return _CODES.get(error, OpenFeatureCode.GENERAL)
