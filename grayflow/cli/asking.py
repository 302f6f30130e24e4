"""Questions to whoever sits at the terminal."""

import sys

from grayflow.cli.given import interruptible
from grayflow.cli.render import print_line
from grayflow.cli.session import Session
from grayflow.cli.words import safe

__all__ = ["ask", "somebody_is_there"]


def somebody_is_there() -> bool:
    """Tell whether there is anybody to ask: a pipe or a job has nobody."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def ask(session: Session, question: str) -> bool | None:
    """
    Ask and return the answer; Enter means no, and the end of the input that nobody answered.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    with interruptible():
        print_line(session.err, f"{safe(question, lines=False)} [y/N] ", end="")
        try:
            return input().strip().lower() in {"y", "yes"}
        except EOFError:
            session.err.print()
            return None
