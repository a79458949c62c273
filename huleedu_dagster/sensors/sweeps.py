"""What sensors log of a sweep: counts, never names."""

from dagster import SensorEvaluationContext

from huleedu_dagster.pipeline.inbox_sweep import Sweep


def log_sweep(context: SensorEvaluationContext, inbox: str, sweep: Sweep) -> None:
    """Log what was found, if anything was.

    Args:
        context: The tick.
        inbox: Which inbox it is.
        sweep: What was found in it.
    """
    if sweep.taken or sweep.waiting:
        context.log.info(f"{inbox}: taken={sweep.taken} waiting={sweep.waiting}")
    if sweep.unreadable or sweep.misnamed:
        context.log.warning(
            f"{inbox}: unreadable={sweep.unreadable} misnamed={sweep.misnamed}; "
            "`huleedu doctor` lists them"
        )
