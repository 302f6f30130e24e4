"""`grayflow acl`: the rules that the users of a Redis need, as lines for `redis-cli`."""

from typing import TYPE_CHECKING, Annotated

import typer

from grayflow.cli.given import read_bytes
from grayflow.cli.session import Session
from grayflow.errors import ConfigurationError
from grayflow.store.port import check_namespace

if TYPE_CHECKING:
    from grayflow.store.redis.acl import Role

__all__ = ["acl"]

_ROLES: "tuple[Role, ...]" = ("reader", "worker", "writer")


async def acl(
    session: Session,
    *,
    role: Annotated[
        list[str] | None, typer.Option("--role", metavar="|".join(_ROLES), help="Only this one; repeatable.")
    ] = None,
    password_from: Annotated[
        str | None,
        typer.Option("--password-from", metavar="FILE", help="The password of that one role; - for standard input."),
    ] = None,
    cluster: Annotated[bool, typer.Option("--cluster", help="For the nodes of a cluster.")] = False,
    waitaof: Annotated[
        bool,
        typer.Option("--waitaof", help="Atoms may wait for disks; the server is Redis 7.2 or later, or Valkey."),
    ] = False,
) -> None:
    """
    Print the ACL rules of the users of a namespace, as lines for `redis-cli`; no store is asked.

    Services that only ask get gf-reader, those whose processes share state gf-worker, whoever changes flags
    gf-writer. No password is printed: a line holds its SHA-256, or a place for that, which the server refuses as it
    stands.
    """
    # Only here: it loads redis-py, which the other commands need for a Redis only.
    from grayflow.store.redis.acl import PLACE_OF_HASH, acl_command

    roles = [_role(name) for name in role or _ROLES]
    if password_from is not None and len(roles) != 1:
        raise ConfigurationError("each user has a password of its own; say which role this one is for: --role NAME")
    password = None if password_from is None else _password(password_from)
    namespace = check_namespace(session.namespace)
    for one in roles:
        typer.echo(acl_command(one, namespace, password, cluster=cluster, waitaof=waitaof))
    if password is None:
        session.note(
            f"put the SHA-256 of a password in the place of {PLACE_OF_HASH} (printf %s PASSWORD | sha256sum), or name "
            "a file with it: --role NAME --password-from FILE"
        )


def _role(name: str) -> "Role":
    for role in _ROLES:
        if name == role:
            return role
    raise ConfigurationError(f"there is no role {name!r}; {', '.join(_ROLES[:-1])} and {_ROLES[-1]} are known")


def _password(name: str) -> str:
    try:
        password = read_bytes(name).decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"the password in {name!r} is not UTF-8") from error
    if not password:
        raise ConfigurationError(f"{name!r} holds no password")
    return password
