"""Hashes that make work idempotent: canonical JSON, materialization keys, run keys.

Rule (requirements.md): a materialization key is the sha256 of asset, code version, configuration
and input data version. Done once under a key is done.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and no escapes: equal values give equal text.

    Raises:
        TypeError: `value` holds something that JSON has no form for.
        ValueError: `value` holds NaN or an infinity.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def sha256_hex(data: bytes) -> str:
    """The sha256 of `data`, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def hash_of(value: Any) -> str:
    """The sha256 of the canonical JSON of `value`, hexadecimal."""
    return sha256_hex(canonical_json(value).encode())


def materialization_key(
    asset: str,
    *,
    code_version: str,
    configuration: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> str:
    """The key under which one stage of one essay is done once.

    Args:
        asset: The asset's key.
        code_version: Version of everything that decides the result but data and settings.
        configuration: The settings that this stage reads, as JSON values.
        inputs: Data version of each input, by its name.
    """
    return hash_of(
        {
            "asset": asset,
            "code_version": code_version,
            "configuration": dict(configuration),
            "inputs": dict(inputs),
        }
    )


def wave_run_key(
    batch_id: str,
    members: Iterable[tuple[str, str, int, int]],
    pipeline_version: str,
) -> str:
    """The run key of one wave of a batch; equal for the same pending work, so it runs once.

    Args:
        batch_id: The batch.
        members: For each pending essay: slot, sha256 of its raw bytes, generation (raised by a
            replay) and attempt (raised by a recorded failure).
        pipeline_version: Version of the pipeline's code.
    """
    return hash_of([batch_id, sorted(list(member) for member in members), pipeline_version])
