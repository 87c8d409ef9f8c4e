"""Section 6 of the survey: fusion, few labels, deployment. Planned."""
