"""Translating an export and asking the flags that come out of it, through the text that an import reads."""

import json
from datetime import UTC, datetime
from typing import Any

from grayflow.admin.moving import Moved, translate
from grayflow.core.decision import Decision
from grayflow.core.foreign import System, foreign_context, foreign_extensions
from grayflow.core.snapshot import Snapshot

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class World:
    """The flags of one export."""

    def __init__(self, system: System, export: Any, **options: Any):
        self.system = system
        self.moved: Moved = translate(system, json.dumps(export), **options)
        self.documents = json.loads(self.moved.text())
        self.snapshot = Snapshot.build(
            self.documents["flags"], self.documents["segments"], extensions=foreign_extensions(system)
        )
        assert not self.snapshot.problems

    def ask(self, key: str, context: dict[str, Any] | None = None, *, default: Any = None) -> Decision:
        found = self.snapshot.evaluate(key, foreign_context(self.system, context or {}), default=default, now=NOW)
        assert found.error is None, found
        return found

    def value(self, key: str, context: dict[str, Any] | None = None) -> Any:
        return self.ask(key, context).value

    def flag(self, key: str) -> dict[str, Any]:
        return self.documents["flags"][key]

    def told(self, weight: str) -> list[str]:
        """Return the remarks of a weight, each as place and what is said."""
        return [str(remark) for remark in self.moved.remarks if remark.weight == weight]
