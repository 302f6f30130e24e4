"""Documents as they were: the store keeps changes, an operator asks for revisions."""

from grayflow.core.position import Document
from grayflow.errors import ConfigurationError, HistoryGoneError, InvalidFlagError, Problem
from grayflow.store.port import Change, DocumentKind, Store

__all__ = ["check_revision", "document_at", "rollback_target"]

_PAGE = 200


async def check_revision(store: Store, revision: int) -> int:
    """
    Return the newest revision.

    Raises:
        ConfigurationError: `revision` is not there yet, or below 0, where nothing is.
    """
    newest = (await store.position()).revision
    if not 0 <= revision <= newest:
        raise ConfigurationError(f"there is no revision {revision}; the newest is {newest}")
    return newest


async def document_at(store: Store, kind: DocumentKind, key: str, revision: int) -> Document | None:
    """
    Return a document as of a revision of the namespace, `None` if there was none.

    Raises:
        ConfigurationError: there is no such revision yet.
        HistoryGoneError: what it was then is not kept any more.
    """
    newest = await check_revision(store, revision)
    upto = await store.history(key, kind=kind, before=revision + 1, limit=1)
    if upto:
        return _after(upto[0])
    first = await _first_kept(store, kind, key)
    if first is not None:
        earlier, since = first.before, first.revision
    else:
        earlier, _ = await store.get(kind, key)
        since = newest + 1 if earlier is None else earlier.revision
    if earlier is not None and earlier.revision <= revision:
        return earlier
    # It was not there just before the first change we know of. Whether it was at `revision` only the log can tell.
    if earlier is None and (store.keeps_all_history or revision >= await store.oldest() - 1):
        return None
    raise HistoryGoneError(revision, oldest=since if earlier is None else earlier.revision)


async def _first_kept(store: Store, kind: DocumentKind, key: str) -> Change | None:
    first: Change | None = None
    page = await store.history(key, kind=kind, limit=_PAGE)
    while page:
        first = page[-1]
        page = await store.history(key, kind=kind, before=first.revision, limit=_PAGE)
    return first


async def rollback_target(store: Store, kind: DocumentKind, key: str, to: int | None) -> Document:
    """
    Return the document that a rollback brings back.

    Args:
        store: Where to look.
        kind: What `key` names.
        key: The flag or segment.
        to: As of which revision of the namespace; before the newest change of the document, if `None`.

    Raises:
        InvalidFlagError: there was no document then: a rollback never deletes.
        ConfigurationError, HistoryGoneError: as `document_at`.
    """
    if to is None:
        return await _earlier(store, kind, key)
    target = await document_at(store, kind, key, to)
    if target is not None:
        return target
    changes = await store.history(key, kind=kind, limit=5)
    there = ", ".join(str(change.revision) for change in reversed(changes) if change.document is not None)
    message = f"it did not exist at revision {to}; delete it, or choose one of its own: {there}"
    raise InvalidFlagError((Problem(key=key, kind=kind, path="", message=message),))


async def _earlier(store: Store, kind: DocumentKind, key: str) -> Document:
    newest = await store.history(key, kind=kind, limit=1)
    if newest and newest[0].before is not None:
        return newest[0].before
    if newest:
        message = f"there is no earlier version: revision {newest[0].revision} created it"
    else:
        held, _ = await store.get(kind, key)
        if held is not None:
            raise HistoryGoneError(held.revision - 1, oldest=held.revision)
        message = "there is no earlier version: it does not exist and never did"
    raise InvalidFlagError((Problem(key=key, kind=kind, path="", message=message),))


def _after(change: Change) -> Document | None:
    return None if change.document is None else Document(change.revision, change.document)
