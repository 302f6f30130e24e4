"""
The face of everything that changes flags.

The work is done elsewhere: `verbs.py` says what a verb means, `writer.py` commits it and `checks.py` refuses what
must not be written.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from anyio import to_thread

from grayflow.admin import verbs
from grayflow.admin.changing import warned
from grayflow.admin.checks import hindrances
from grayflow.admin.fleet import FleetVerbs
from grayflow.admin.formats import TextFormat, read_text
from grayflow.admin.importing import ImportPlan, Progress, plan_import, run_import
from grayflow.admin.jobs import JobVerbs
from grayflow.admin.reading import Reading
from grayflow.admin.results import ImportReport, Saved
from grayflow.admin.segments import SegmentVerbs
from grayflow.admin.stats import StatsVerbs
from grayflow.admin.verbs import Ids
from grayflow.admin.writer import Held, Order
from grayflow.core.checklist import reason_with_answers
from grayflow.core.codec import Source
from grayflow.core.flag import Flag
from grayflow.core.position import Position
from grayflow.errors import Problem
from grayflow.store.given import refuse_async, refused

__all__ = ["Admin"]


class Admin(Reading, SegmentVerbs, FleetVerbs, JobVerbs, StatsVerbs):
    """
    Changes flags and segments: `async with Admin("redis://localhost", namespace="shop", actor="ann") as admin:`.

    Every write is checked, committed only against the version it was made from, and audited with actor and
    `reason`. Verbs (`switch_on`, `set_percent`, `include` …) apply themselves to the newest document again after a
    conflict, so a kill switch never loses a race; `create` and `edit` report the conflict. A write that would change
    nothing writes nothing.

    Opening it initialises a namespace in memory or in a file that does not exist yet; on a server `init` must be
    called once, on purpose.

    All writes raise `InvalidFlagError` if the document is refused, with every problem and its path;
    `UnknownFlagError` if there is none of that name; and a `StoreError` if the store did not do it. After a
    cancelled write the change was made or was not: the history tells.

    The arguments are those of `Desk`: `store`, `namespace`, `actor`, `extensions`, `context_type`, `clock`.
    """

    async def init(self, *, replaces: str | Sequence[str] | None = None) -> Position:
        """
        Make the namespace usable, on purpose; one that is usable already stays as it is.

        Args:
            replaces: The operator's word that what the store holds now is the truth, after it was emptied, restored
                or rewound: the epochs that it takes the place of, `"*"` for any. Clients that refused it then load
                it.

        Raises:
            StoreFormatError: the data was written by a newer release.
        """
        return await self.store.init(replaces=(replaces,) if isinstance(replaces, str) else replaces)

    # Whole documents

    async def create(self, document: Source, *, reason: str = "") -> Saved[Flag]:
        """
        Save a new flag, given as a `Flag`, a mapping or JSON.

        Raises:
            ConflictError: there is a flag of that name.
        """
        return await self._create(Flag, document, reason)

    async def edit(self, document: Source, expected: int | None = None, *, reason: str = "") -> Saved[Flag]:
        """
        Replace the whole document of a flag.

        Args:
            document: As for `create`.
            expected: The revision that the new document was made from, as `get` returned it. Left out, whatever is
                there is replaced.
            reason: For the audit.

        Raises:
            ConflictError: somebody else changed the flag since; nothing was written.
        """
        return await self._edit(Flag, document, expected, reason)

    async def put(self, document: Source, *, reason: str = "") -> Saved[Flag]:
        """Create a flag, or replace its document whatever is there; applied again after a conflict."""
        return await self._put(Flag, document, reason)

    async def update(
        self, key: str, change: Callable[[Flag], Flag], *, reason: str = "", action: str = "update"
    ) -> Saved[Flag]:
        """
        Apply a function to the newest document of a flag, and again after each conflict.

        Args:
            key: The flag.
            change: Returns the changed document; called once for each try, so it should do nothing else.
            reason: For the audit.
            action: What the history calls it.

        Raises:
            ConfigurationError: `change` cannot be called, or is async.
        """
        if not callable(change):
            raise refused("change", change, "give a function of the flag that returns the changed one")
        refuse_async("change", change)
        return await self._change(Flag, key, change, action, reason)

    async def delete(self, key: str, *, reason: str = "") -> Saved[Flag]:
        """Delete a flag: everybody gets the caller's default. The history stays. Warns of who still names it."""
        return await self._delete(Flag, key, reason)

    async def archive(self, key: str, *, reason: str = "") -> Saved[Flag]:
        """Disable a flag for good and leave it out of listings; `rollback` brings it back."""
        return await self._change(Flag, key, verbs.archive, "archive", reason)

    async def rollback(self, key: str, to: int | None = None, *, reason: str = "") -> Saved[Flag]:
        """
        Bring back the document as it was at a revision, as a new revision on top of the history.

        Variants that are not served any more are switched off by it like by any other edit. A deleted flag is
        created again. A rollback never deletes: where the flag did not exist at that revision it is refused.

        Args:
            key: The flag.
            to: A revision of the namespace; the version before the newest change of this flag, if left out.
            reason: For the audit, which names the revision too.

        Raises:
            ConfigurationError: there is no such revision yet.
            HistoryGoneError: what the flag was then is not kept any more.
        """
        return await self._rollback(Flag, key, to, reason)

    # Verbs

    async def switch_on(self, key: str, *, reason: str = "") -> Saved[Flag]:
        """Enable a flag; rules, percentages and lists decide as they stand. Warns if its window keeps it off."""
        saved = await self._change(Flag, key, verbs.switch_on, "switch_on", reason)
        return self._with_hindrances(saved)

    async def switch_off(
        self, key: str, *, reason: str = "", checklist: Mapping[str, bool | None] | None = None
    ) -> Saved[Flag]:
        """
        Disable a flag: everybody is served `off`, and `switch_on` restores what was there.

        Works on a flag whose stored document cannot be read, too: the newest version that can be is taken, which is
        what processes serve meanwhile.

        Args:
            key: The flag.
            reason: For the audit.
            checklist: Answers to the flag's `off_checklist`, kept behind the reason; `None` for not asked.
        """
        broken: list[Problem] = []

        async def plan(held: Held[Flag]) -> Flag:
            if held.document is None or held.decoded is not None:
                return verbs.switch_off(await self._writer.existing(held))
            text = f"revision {held.revision} could not be read; the last version that can be was switched off"
            broken[:] = [Problem(key=key, path="", message=text), *held.problems]
            return verbs.switch_off(await self._last_good(held))

        order = Order(action="switch_off", reason=reason_with_answers(reason, checklist or {}), lenient=True)
        saved: Saved[Flag] = await self._write(Flag, key, plan, order)
        return warned(saved, *broken)

    async def set_percent(
        self,
        key: str,
        percent: float,
        variant: str | None = None,
        rule: str | int | None = None,
        *,
        add: bool = False,
        reason: str = "",
    ) -> Saved[Flag]:
        """
        Enable a flag and serve one rule to that share of its users; see `verbs.set_percent` for which rule.

        Args:
            key: The flag.
            percent: 0 to 100, up to three decimals. At 0 the flag stays enabled and nobody is in.
            variant: The variant that is released; needed where there is more than one besides `off`.
            rule: Name or index of the rule, where more than one could be meant.
            add: Append a rule for everybody although there are rules.
            reason: For the audit.
        """
        change = partial(verbs.set_percent, percent=percent, variant=variant, rule=rule, add=add)
        saved = await self._change(Flag, key, change, "set_percent", reason)
        return self._with_hindrances(saved) if percent else saved  # at 0 nobody is meant to be in

    async def include(self, key: str, variant: str, ids: Ids, *, reason: str = "") -> Saved[Flag]:
        """Put ids on the gray list of a variant, which rules cannot overrule; they leave other variants' lists."""
        wanted = verbs.several(ids)
        saved = await self._change(Flag, key, lambda flag: verbs.include(flag, variant, wanted), "include", reason)
        if saved.after is None or saved.after.enabled:
            return saved
        return warned(saved, Problem(key=key, path="enabled", message="the flag is off, so its lists have no effect"))

    async def exclude(self, key: str, ids: Ids, variant: str | None = None, *, reason: str = "") -> Saved[Flag]:
        """Take ids off the gray list of a variant, or of all; rules decide about them again."""
        unwanted = verbs.several(ids)
        return await self._change(Flag, key, lambda flag: verbs.exclude(flag, unwanted, variant), "exclude", reason)

    def _with_hindrances(self, saved: Saved[Flag]) -> Saved[Flag]:
        return saved if saved.after is None else warned(saved, *hindrances(saved.after, self._clock.now()))

    # Many at once

    async def import_(
        self,
        text: bytes | str,
        *,
        format: TextFormat | None = None,  # noqa: A002 - the word that everybody would use
        replace: bool = False,
        dry_run: bool = False,
        reason: str = "",
        progress: Progress | None = None,
    ) -> ImportReport:
        """
        Create and update flags and segments from a text, such as `export` wrote.

        Every document is checked before the first is written. Bad ones are reported with their place and left out;
        equal ones are passed over. A store that fails in the middle ends the import, and the report says so: import
        the same text again to go on.

        Args:
            text: JSON (an export, a document, a list, or documents by key), JSON Lines or YAML.
            format: Which; found out if left out, YAML excepted.
            replace: Also delete what the text does not hold. Then nothing is written if one document is bad.
            dry_run: Only report what would be done.
            reason: For the audit of each change.
            progress: Called with the numbers of documents done and to do.

        Raises:
            MissingExtraError: YAML without the extra `yaml`.
            StoreError: the store could not be read; nothing was written.
        """
        state = await self.state()

        def planned() -> ImportPlan:
            return plan_import(read_text(text, format), state, self.extensions, replace=replace)

        plan = await to_thread.run_sync(planned)  # thousands of documents would hold up the loop
        blocked = replace and bool(plan.problems)
        return await run_import(plan, self._writer, reason, dry_run=dry_run, blocked=blocked, progress=progress)
