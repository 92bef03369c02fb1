"""The states of a label as every table stores them: present, absent; what is unknown has no row."""

from __future__ import annotations

__all__ = ["ABSENT", "PRESENT"]

PRESENT = 1
ABSENT = -1
