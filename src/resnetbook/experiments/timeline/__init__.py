"""Section 3: the networks of the timeline."""
