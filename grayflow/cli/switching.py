"""Commands that switch: on, off, percent, target, rollback, archive, delete."""

from functools import partial
from typing import Annotated, Any

import typer

from grayflow.admin import Admin, Saved, verbs
from grayflow.admin.checks import decode, kind_word, model_of
from grayflow.admin.past import rollback_target
from grayflow.cli.asking import ask, somebody_is_there
from grayflow.cli.exits import Exit
from grayflow.cli.fleet import Wait, WaitTimeout
from grayflow.cli.given import AsJson, DryRun, FlagKey, IsSegment, Reason, read_bytes
from grayflow.cli.session import Session
from grayflow.cli.words import counted
from grayflow.cli.writing import Contexts, Manner, Trial, carry_out, edited, tell
from grayflow.core.flag import Flag, Segment
from grayflow.errors import ConfigurationError, InvalidFlagError

__all__ = ["archive", "delete", "off", "on", "percent", "rollback", "target"]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]


async def on(
    session: Session,
    key: FlagKey,
    *,
    reason: Reason = "",
    dry_run: DryRun = False,
    preview: Contexts = None,
    wait: Wait = False,
    wait_timeout: WaitTimeout = 30.0,
    as_json: AsJson = False,
) -> Exit | None:
    """Enable a flag; its rules, percentages and lists decide as they stand."""
    return await carry_out(
        session,
        Manner(dry_run, preview, as_json, wait_s=wait_timeout if wait else None),
        trial=edited(key, verbs.switch_on),
        write=lambda admin: admin.switch_on(key, reason=reason),
        done="is on",
    )


async def off(  # noqa: PLR0913 - each is an option of the command
    session: Session,
    key: FlagKey,
    *,
    reason: Reason = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    preview: Contexts = None,
    wait: Wait = False,
    wait_timeout: WaitTimeout = 30.0,
    as_json: AsJson = False,
) -> Exit | None:
    """
    Disable a flag: everybody is served its `off` variant. `on` restores what was there.

    The flag's checklist is shown and asked, and the answers go into the audit. It never stops the switch: with
    --yes, or without a terminal, its items are recorded as not asked.
    """

    async def switch_off(admin: Admin) -> Saved[Flag]:
        answers = _answers(session, await _checklist(admin, key), asking=not yes and somebody_is_there())
        return await admin.switch_off(key, reason=reason, checklist=answers)

    return await carry_out(
        session,
        Manner(dry_run, preview, as_json, wait_s=wait_timeout if wait else None),
        trial=edited(key, verbs.switch_off),
        write=switch_off,
        done="is off",
    )


async def percent(  # noqa: PLR0913 - each is an option of the command
    session: Session,
    key: FlagKey,
    percent: Annotated[str, typer.Argument(metavar="PERCENT", help="0 to 100, up to three decimals.")],
    *,
    variant: Annotated[
        str | None, typer.Option("--variant", metavar="NAME", help="Which variant, if there are several.")
    ] = None,
    rule: Annotated[str | None, typer.Option("--rule", metavar="RULE", help="Which rule, by name or index.")] = None,
    add: Annotated[bool, typer.Option("--add", help="Add a rule for everybody behind those there are.")] = False,
    reason: Reason = "",
    dry_run: DryRun = False,
    preview: Contexts = None,
    as_json: AsJson = False,
) -> None:
    """
    Enable a flag and serve it to a share of users; who is in at 10 stays in at 20.

    Changes the only rule with a percentage; a flag without rules gets one. 0 keeps the flag on with nobody in.
    """
    share = _share(percent)
    await carry_out(
        session,
        Manner(dry_run, preview, as_json),
        trial=edited(key, partial(verbs.set_percent, percent=share, variant=variant, rule=rule, add=add)),
        write=lambda admin: admin.set_percent(key, share, variant=variant, rule=rule, add=add, reason=reason),
        done=f"is at {share:g} %",
    )


async def target(  # noqa: PLR0913 - each is an option of the command
    session: Session,
    key: FlagKey,
    variant: Annotated[str, typer.Argument(metavar="VARIANT", help="Whose gray list; `-` with --remove: any.")],
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="User ids.")] = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take the ids off the list.")] = False,
    file: Annotated[str | None, typer.Option("--from", metavar="FILE", help="More ids, one a line.")] = None,
    reason: Reason = "",
    dry_run: DryRun = False,
    preview: Contexts = None,
    as_json: AsJson = False,
) -> None:
    """
    Put ids on the gray list of a variant: they get it, whatever the rules say.

    An id is on one list at most. With --remove, rules decide about the ids again.
    """
    units = [*(ids or ()), *(_ids_in(file) if file is not None else ())]
    if not units:
        raise ConfigurationError("no ids are given; name them, or a file with one a line: --from FILE")
    how = Manner(dry_run, preview, as_json)
    if remove:
        only = None if variant == "-" else variant
        await carry_out(
            session,
            how,
            trial=edited(key, partial(verbs.exclude, ids=units, variant=only)),
            write=lambda admin: admin.exclude(key, units, variant=only, reason=reason),
            done=f"lists {counted(len(units), 'id')} less",
        )
    else:
        await carry_out(
            session,
            how,
            trial=edited(key, partial(verbs.include, variant=variant, ids=units)),
            write=lambda admin: admin.include(key, variant, units, reason=reason),
            done=f"lists {counted(len(units), 'id')} under {variant!r}",
        )


async def rollback(
    session: Session,
    key: FlagKey,
    *,
    to: Annotated[
        int | None, typer.Option("--to", metavar="REVISION", help="As of which revision; else before the last change.")
    ] = None,
    reason: Reason = "",
    segment: IsSegment = False,
    dry_run: DryRun = False,
    preview: Contexts = None,
    as_json: AsJson = False,
) -> None:
    """
    Bring back an earlier version as a new revision; the history stays.

    What is not served any more is switched off. A deleted flag comes back. `history` shows the revisions.
    """
    if to is not None and to < 1:
        raise ConfigurationError(
            f"there is no revision {to} to go back to, the first is 1; a flag that is not wanted: grayflow delete {key}"
        )

    async def trial(admin: Admin) -> Trial:
        kind = kind_word(Segment if segment else Flag)
        target = await rollback_target(admin.store, kind, key, to)
        held, _ = await admin.store.get(kind, key)
        return None if held is None else held.data, decode(model_of(kind), target.data, key)

    async def write(admin: Admin) -> Saved[Any]:
        back: Any = admin.rollback_segment if segment else admin.rollback
        saved: Saved[Any] = await back(key, to=to, reason=reason)
        return saved

    await carry_out(session, Manner(dry_run, preview, as_json), trial=trial, write=write, done="is rolled back")


async def archive(
    session: Session, key: FlagKey, *, reason: Reason = "", dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Disable a flag for good and leave it out of listings; its history stays."""
    await carry_out(
        session,
        Manner(dry_run, None, as_json),
        trial=edited(key, verbs.archive),
        write=lambda admin: admin.archive(key, reason=reason),
        done="is archived",
    )


async def delete(
    session: Session,
    key: FlagKey,
    *,
    reason: Reason = "",
    segment: IsSegment = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> Exit | None:
    """Delete a flag or segment: callers get their default. `rollback` brings it back while the history is kept."""
    if not yes and not (somebody_is_there() and ask(session, f"Delete {key!r}?")):
        session.note(f"{key!r} was not deleted; say --yes", "error")
        return Exit.USAGE
    async with session.writing() as admin:
        remove = admin.delete_segment if segment else admin.delete
        tell(session, await remove(key, reason=reason), "is deleted", as_json=as_json)
    return None


async def _checklist(admin: Admin, key: str) -> tuple[str, ...]:
    try:
        held, _ = await admin.get(key)
    except InvalidFlagError:  # a document that cannot be read is switched off all the same
        return ()
    return held.off_checklist if held.enabled else ()


def _answers(session: Session, items: tuple[str, ...], *, asking: bool) -> dict[str, bool | None]:
    if items and not asking:
        session.note(f"the checklist was not asked: {'; '.join(items)}")
    return {item: ask(session, item) if asking else None for item in items}


def _share(text: str) -> float:
    try:
        return float(text.strip().removesuffix("%"))
    except ValueError:
        raise ConfigurationError(f"{text!r} is no percentage; write 10 or 0.5") from None


def _ids_in(name: str) -> list[str]:
    try:
        lines = read_bytes(name).decode().splitlines()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{name!r} is not UTF-8: {error.reason} at byte {error.start}") from error
    return [line.strip() for line in lines if line.strip()]
