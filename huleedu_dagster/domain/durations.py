"""How long anything may be asked to take."""

from typing import Annotated

from pydantic import Field

MOST_SECONDS = 366 * 24 * 3600
"""The longest time that may be asked for, a leap year in seconds: a calendar holds its end."""

MOST_WAIT_SECONDS = 24 * 3600
"""The longest wait for a server or a process, seconds: a socket waits 24 days at most."""

Duration = Annotated[float, Field(ge=0, le=MOST_SECONDS, allow_inf_nan=False)]
"""Seconds between two moments."""

Timeout = Annotated[float, Field(gt=0, le=MOST_SECONDS, allow_inf_nan=False)]
"""Seconds until something happens at the latest."""

Wait = Annotated[float, Field(gt=0, le=MOST_WAIT_SECONDS, allow_inf_nan=False)]
"""Seconds that something is waited for."""
