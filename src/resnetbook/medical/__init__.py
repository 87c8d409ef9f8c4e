"""Section 5 of the survey: medical recognition and segmentation. Planned."""
