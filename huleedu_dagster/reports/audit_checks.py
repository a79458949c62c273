"""Whether a stored audit report can be true: against the ledger, in itself, and counted again."""

from collections.abc import Iterable, Mapping
from typing import Any

from huleedu_dagster.ledger.audit import REJECTED_BY_CODE
from huleedu_dagster.ledger.audit_facts import Days, fact_names

_OF_HOURS = ("received", "accepted", "rejected")


def totals_agree(reported: Mapping[str, int], counted: Mapping[str, int]) -> list[str]:
    """The names whose reported total is not what the ledger counts; empty when all agree."""
    names = sorted({*reported, *counted})
    return [name for name in names if reported.get(name, 0) != counted.get(name, 0)]


def recounted_agree(reported: Mapping[str, int], recounted: Mapping[str, int]) -> list[str]:
    """The names that were counted again, in another way, and are not what is reported.

    A code that only the report knows is named, too.
    """
    codes = {name for name in reported if name.startswith(REJECTED_BY_CODE)}
    names = sorted(codes | recounted.keys())
    return [name for name in names if reported.get(name, 0) != recounted.get(name, 0)]


def parts_that_do_not_add_up(report: Mapping[str, Any], days: Days) -> list[str]:
    """The totals of a report, as JSON, that are not the sum of their parts; empty when all are."""
    totals: Mapping[str, int] = report["totals"]
    names = fact_names(days)
    parts = (totals, *report.get("batches", ()))
    if "hours" not in report or not all(it.keys() >= set(names) for it in parts):
        return ["all: it was made by an older version"]
    codes = [count for name, count in totals.items() if name.startswith(REJECTED_BY_CODE)]
    released = totals["completed"] + totals["released_again"]
    placed = ("new_essays", "new_versions", "excess", "late")
    wrong = [f"{name} of batches" for name in _not_summed(totals, report["batches"], names)]
    wrong += [f"{name} of hours" for name in _not_summed(totals, report["hours"], _OF_HOURS)]
    for name, sum_of_parts in (
        ("rejected by code", (totals["rejected"], sum(codes))),
        ("rejected_by_code", (totals["rejected"], sum(report["rejected_by_code"].values()))),
        ("released", (totals["released"], released)),
        ("received", (totals["received"], sum(totals[it] for it in placed))),
        ("outcomes", (totals["accepted"] + totals["rejected"], _outcomes(report))),
        ("completed", (totals["completed"], _completed(report))),
    ):
        if sum_of_parts[0] != sum_of_parts[1]:
            wrong.append(name)
    return wrong


def _not_summed(
    totals: Mapping[str, int], parts: Iterable[Mapping[str, Any]], names: Iterable[str]
) -> list[str]:
    rows = list(parts)
    return [name for name in names if totals[name] != sum(row[name] for row in rows)]


def _outcomes(report: Mapping[str, Any]) -> int:
    return int(report["seconds"]["file_to_outcome"]["count"])


def _completed(report: Mapping[str, Any]) -> int:
    return int(report["seconds"]["registration_to_release"]["count"])
