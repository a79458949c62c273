"""Loaded by every Python process that a test starts: such processes stay on this machine too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.support.no_network import forbid_outbound

forbid_outbound()
