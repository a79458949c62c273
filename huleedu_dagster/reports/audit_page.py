"""The audit as one page for people: charts, tables, no scripts, nothing that is loaded."""

from collections.abc import Mapping, Sequence

from huleedu_dagster.domain.file_names import visible
from huleedu_dagster.reports.audit_content import AuditBatch, AuditContent
from huleedu_dagster.reports.charts import histogram
from huleedu_dagster.reports.charts_bars import Series, columns, rows
from huleedu_dagster.reports.figures import distribution
from huleedu_dagster.reports.templates import render

MOST_BATCHES = 25
"""Batches in the chart of misspellings, at most; the table has all."""

_UNITS = (("seconds", 1), ("minutes", 60), ("hours", 3_600), ("days", 86_400))
_COUNTS: Mapping[str, str] = {
    "registered": "Batches registered",
    "received": "Files received",
    "accepted": "Essays accepted",
    "rejected": "Essays rejected",
    "completed": "Batches completed",
    "timed_out": "Closed incomplete",
    "dead_letters": "Dead letters",
    "waived": "Waived",
}
TIMES: Mapping[str, str] = {
    "registration_to_release": "From a batch's registration to its first release",
    "last_file_to_release": "From a batch's last file to its first release",
    "file_to_outcome": "From the receipt of a file to its outcome",
}
"""What each of the times is of."""

COLUMNS: Mapping[str, str] = {
    "received": "Files",
    "duplicates": "Twins",
    "suppressed": "Again",
    "new_versions": "Versions",
    "excess": "Excess",
    "late": "Late",
    "accepted": "Accepted",
    "rejected": "Rejected",
    "dead_letters": "Dead letters",
    "waived": "Waived",
    "reprocessed": "Re-processed",
    "released": "Releases",
}
"""Counts of a batch that the page has room for, with their heads."""


def audit_html(content: AuditContent) -> str:
    """The audit as one self-contained page that prints on A4."""
    return render(
        "audit.html",
        audit=content,
        counts={name: content.totals[it] for it, name in _COUNTS.items()},
        charts=charts(content),
        times=[(name, content.seconds[it]) for it, name in TIMES.items()],
        columns=tuple(COLUMNS),
        heads=("Batch", "Status now", *(f"#{it}" for it in COLUMNS.values()), "#Per 100 words"),
    )


def charts(content: AuditContent) -> tuple[str, ...]:
    """The charts there is something for, as SVG."""
    found = (_throughput(content), _completion(content), _rejections(content), _batches(content))
    return tuple(it for it in found if it)


def _throughput(content: AuditContent) -> str:
    one_day = len(content.days.all) == 1
    width = 1 if one_day else 24
    hours = content.hours
    steps = [hours[at : at + width] for at in range(0, len(hours), width)]
    received = [sum(it.received for it in step) for step in steps]
    outcomes = [sum(it.outcomes for it in step) for step in steps]
    if not any((*received, *outcomes)):
        return ""
    return columns(
        [f"{step[0].hour:%H}" if one_day else f"{step[0].hour:%m-%d}" for step in steps],
        (Series("Files received", received), Series("Essays with an outcome", outcomes)),
        name="throughput",
        title=f"Throughput by {'hour' if one_day else 'day'}",
        axis="Hour of the day, UTC" if one_day else "Day, UTC",
    )


def _completion(content: AuditContent) -> str:
    seconds = content.completion_seconds
    if not seconds:
        return ""
    unit, size = _unit(seconds)
    return histogram(
        # To one decimal, as the ranges are written: nothing is between two of them.
        distribution([round(it / size, 1) for it in seconds]),
        name="completion",
        title="Time to complete",
        axis=f"From registration to first release, {unit} to one decimal",
        step=0.1,
        of="batches",
    )


def _rejections(content: AuditContent) -> str:
    found = content.rejected_by_code
    if not found:
        return ""
    return rows(
        list(found.items()), name="rejections", title="Rejections by code", axis="Essays rejected"
    )


def _batches(content: AuditContent) -> str:
    rates = [(it, it.rate) for it in content.batches if it.rate is not None]
    if not rates:
        return ""
    rates.sort(key=lambda it: (-it[1], it[0].batch_id))
    highest = [(_name(it), rate) for it, rate in rates[:MOST_BATCHES]]
    some = f": the {MOST_BATCHES} highest of {len(rates)}" if len(rates) > MOST_BATCHES else ""
    return rows(
        highest,
        name="rates",
        title=f"Misspellings of each batch{some}",
        axis="Misspellings per 100 words",
        digits=1,
    )


def _name(batch: AuditBatch) -> str:
    """The class and the batch's id, or this alone; two classes may have one name."""
    name = visible(batch.class_name)
    return f"{name} ({batch.batch_id})" if name else batch.batch_id


def _unit(seconds: Sequence[float]) -> tuple[str, int]:
    """The largest unit in which the longest time is two or more."""
    longest = max(seconds)
    return next((it for it in reversed(_UNITS) if longest >= 2 * it[1]), _UNITS[0])
