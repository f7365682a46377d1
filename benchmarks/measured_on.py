"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version


def measured_on(*distributions: str) -> dict[str, str | int | float]:
    """Processors, how many programs wanted one in the last minute, system, Python, and versions of what is named."""
    return {
        "processors": os.cpu_count() or 0,
        "load_average": round(os.getloadavg()[0], 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: version(name) for name in distributions},
    }
