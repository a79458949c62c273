"""`huleedu audit`: what happened on a day, or on several, counted from the ledger now."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from huleedu_dagster.cli.common import Exit, HomeOption, Installation, fail
from huleedu_dagster.domain.ids import ContentType

if TYPE_CHECKING:
    from huleedu_dagster.ledger.audit_facts import Days
    from huleedu_dagster.reports.audit_content import AuditContent


@dataclass(frozen=True, slots=True)
class _Form:
    """A form of the audit, and how its file is called."""

    kind: ContentType
    ending: str


_JSON = _Form(ContentType.AUDIT_REPORT_JSON, ".json")
_CSV = _Form(ContentType.AUDIT_REPORT_CSV, ".csv")
_HTML = _Form(ContentType.AUDIT_REPORT_HTML, ".html")
_ALL = (
    _JSON,
    _CSV,
    _HTML,
    _Form(ContentType.AUDIT_BATCHES_PARQUET, "-batches.parquet"),
    _Form(ContentType.AUDIT_ESSAYS_PARQUET, "-essays.parquet"),
)


def audit(
    day: Annotated[
        str | None, typer.Argument(help="The day in UTC, such as 2026-11-22; today if left out.")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="First of several days.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last of several days.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A line for each batch, as CSV.")] = False,
    as_html: Annotated[bool, typer.Option("--html", help="As one page.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="Write files into this folder: all forms, or those asked."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Tell what happened on a day, or on several days together.

    Files, outcomes, times, batches, and who did what; of files and texts it has no names.
    """
    days = _days(day, first, last)
    wanted = [it for it, is_it in ((_JSON, as_json), (_CSV, as_csv), (_HTML, as_html)) if is_it]
    if output is None and len(wanted) > 1:
        fail("one form can be printed; say --output FOLDER for several", Exit.USAGE)
    installation = Installation.at(home)
    if output is None and not wanted:
        _print(_content(installation, days))
        return

    from huleedu_dagster.reports.audit import audit_forms

    _, forms = audit_forms(installation.ledger, days)
    if output is None:
        typer.echo(forms[wanted[0].kind].decode(), nl=wanted[0] is not _CSV)
        return
    paths = {it: output / f"audit-{_file_name(days)}{it.ending}" for it in wanted or _ALL}
    try:
        output.mkdir(parents=True, exist_ok=True)
        for it, path in paths.items():
            path.write_bytes(forms[it.kind])
            typer.echo(path)
    except OSError as error:
        why = error.strerror or type(error).__name__
        fail(f"{output} cannot be written ({why}); say another folder", Exit.INFRASTRUCTURE)


def _days(day: str | None, first: str | None, last: str | None) -> "Days":
    from huleedu_dagster.ledger.audit_facts import Days

    if day is not None and (first is not None or last is not None):
        fail("say either a day, or --from and --to", Exit.USAGE)
    if (first is None) != (last is None):
        fail("several days have both, --from and --to", Exit.USAGE)
    try:
        if first is None or last is None:
            return Days.one(datetime.now(UTC).date() if day is None else _day(day))
        return Days(_day(first), _day(last))
    except ValueError as error:
        fail(str(error), Exit.USAGE)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        fail("a day is written as 2026-11-22", Exit.USAGE)


def _content(installation: Installation, days: "Days") -> "AuditContent":
    from huleedu_dagster.reports.audit_content import AuditContent

    with installation.ledger.read() as tx:
        return AuditContent.read(tx, days)


def _file_name(days: "Days") -> str:
    first, last = days.first.isoformat(), days.last.isoformat()
    return first if first == last else f"{first}-to-{last}"


def _print(content: "AuditContent") -> None:
    from huleedu_dagster.cli.tables import print_rows
    from huleedu_dagster.reports.audit_page import TIMES

    rows: list[tuple[str, Any]] = [
        (name if name.startswith("rejected_") else name.replace("_", " "), count)
        for name, count in content.totals.items()
    ]
    rows.append(("misspellings per 100 words", content.rate))
    print_rows(f"Audit of {content.name} (UTC)", ("what", "count"), rows)
    times = (
        (said, it.count, it.p50, it.p90, it.p95, it.p99, it.max)
        for name, said in TIMES.items()
        for it in (content.seconds[name],)
    )
    print_rows("Seconds", ("what", "count", "p50", "p90", "p95", "p99", "max"), times)
    if content.acts:
        acts = ((it.actor, it.kind, it.action, it.times, it.amount) for it in content.acts)
        print_rows("Who did what", ("who", "kind", "action", "times", "essays or files"), acts)
