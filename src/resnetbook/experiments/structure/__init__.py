"""Section 4: the five axes."""
