"""How much may come out of a kernel, in bytes."""

__all__ = ["FLOOD_LIMIT", "OUTPUT_LIMIT", "VALUE_LIMIT"]

OUTPUT_LIMIT = 1_000_000
"""A cell's output that is looked at; what comes behind it is dropped and the cell runs on."""
FLOOD_LIMIT = 32_000_000
"""A cell's output, everything together; the cell that sends more is stopped."""
VALUE_LIMIT = 4_000_000
"""The value of a check."""
