"""
The command line. `main` is the entry point of `grayflow`; it needs the extra `cli`.

Nothing here is imported by the library, and this module imports no Typer: without the extra it says what to install.
"""

import logging
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run a command and end the process with its exit code.

    Args:
        arguments: What stands behind the program's name; those of the process, if left out.
    """
    try:
        import rich  # noqa: F401 - Typer alone would print plainly
        import typer  # noqa: F401
    except ImportError:
        print("grayflow: the command line needs extra packages. Run: pip install 'grayflow[cli]'", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    try:
        from grayflow.cli.app import build

        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                # Flags hold any text; a terminal of another alphabet shows a question mark instead of a traceback.
                stream.reconfigure(errors="replace")
        # Commands say on stderr what the library would log there once more.
        logging.getLogger("grayflow").addHandler(logging.NullHandler())
        build()(args=None if arguments is None else list(arguments), prog_name="grayflow")
    except KeyboardInterrupt:  # before a command could take care of it
        sys.exit(130)
