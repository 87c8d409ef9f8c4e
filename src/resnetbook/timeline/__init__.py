"""Section 3 of the survey: the timeline of network models. Planned; the survey map shows what is to come."""
