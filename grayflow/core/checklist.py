"""
The answers to a flag's `off_checklist`, as lines behind the reason of the switch-off.

A change carries one text for the audit, so that is where they go, in a form that can be read back.
"""

from collections.abc import Mapping

__all__ = ["answers_in", "reason_with_answers"]

_MARKS = {True: "x", False: " ", None: "?"}


def reason_with_answers(reason: str, answers: Mapping[str, bool | None]) -> str:
    """
    Return a reason with one line for each item: `[x]` done, `[ ]` not done, `[?]` not asked.

    Args:
        reason: In the operator's words.
        answers: Item -> answer, `None` if nobody was asked.
    """
    lines = [f"[{_MARKS[answer]}] {' '.join(item.split())}" for item, answer in answers.items()]
    return "\n".join([reason, *lines]) if lines else reason


def answers_in(text: str) -> tuple[str, dict[str, bool | None]]:
    """Return the reason and the answers that `reason_with_answers` joined."""
    answers: dict[str, bool | None] = {}
    lines = text.split("\n")
    while len(lines) > 1 and (answer := _answer(lines[-1])):
        answers[answer[0]] = answer[1]
        lines.pop()
    return "\n".join(lines), dict(reversed(answers.items()))


def _answer(line: str) -> tuple[str, bool | None] | None:
    for answer, mark in _MARKS.items():
        if line.startswith(f"[{mark}] "):
            return line[4:], answer
    return None
