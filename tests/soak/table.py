"""The findings as text."""

from collections import Counter

from tests.soak.play import Findings, Plan

__all__ = ["table"]


def table(plan: Plan, found: Findings) -> str:
    """Return what happened, what it cost, and what was broken."""
    reports = [report for lives in found.lives for report in lives]
    logged: Counter[str] = Counter()
    for report in reports:
        for line, times in report.logged.items():
            logged[line.split()[0]] += times
    rows = {
        "clients": f"{plan.crews * plan.clients} in {plan.crews} processes, {len(reports)} lives of processes; "
        f"seed {plan.seed}",
        "edits": f"{sum(found.edits.values()):,} ({_counted(found.edits)})",
        "edits not made": f"{found.refused:,} refused, {found.unanswered:,} while the server was away",
        "faults": f"{sum(found.troubles.values()):,} ({_counted(found.troubles)})",
        "decisions": f"{sum(report.decisions for report in reports):,}",
        "worst staleness": f"{max(report.worst_age_s for report in reports):.1f} s",
        "equal after healing": f"{max(found.healed_s, default=0):.1f} s at most",
        "seen by all": f"{max(found.told_s, default=0) * 1000:.0f} ms at most",
        "reconnects": f"{sum(report.links - len(report.seats) for report in reports):,}",
        "full loads": f"{sum(report.loads for report in reports):,}; the server had gone back "
        f"{sum(report.failovers for report in reports):,} times",
        "warnings, errors": f"{logged['WARNING']:,}, {logged['ERROR']:,}, those of unexpected kinds are told below",
    }
    for number, (lives, warm) in enumerate(zip(found.lives, found.warm, strict=True), 1):
        first = warm or lives[-1]
        rows[f"process {number}"] = (
            f"{first.rss / 2**20:.1f} -> {lives[-1].rss / 2**20:.1f} MiB, {first.files} -> {lives[-1].files} files, "
            f"{first.tasks} -> {lives[-1].tasks} tasks"
        )
    rows["broken"] = "; ".join(found.broken) or "nothing"
    return "\n".join(f"{name:21}{text}" for name, text in rows.items())


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in counts.most_common())
