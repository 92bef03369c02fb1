"""Fuzzing of everything that reads what others wrote: `python -m tests.fuzz [SECONDS [DOOR …]]`."""

import os

os.environ.setdefault(
    "ARROW_DEFAULT_MEMORY_POOL", "system"
)  # so that a limit of memory is one, unless Arrow is loaded
