"""What a user of grayflow writes; never run, but it must check under `mypy --strict` and `pyright` in strict mode."""

from grayflow.errors import GrayflowError, InvalidFlagError


def explain(error: GrayflowError) -> str:
    """Say where the data is wrong, if that is it."""
    if isinstance(error, InvalidFlagError):
        return ", ".join(problem.path for problem in error.problems)
    return str(error)
