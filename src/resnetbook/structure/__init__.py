"""Section 4 of the survey: improvements of convolution, pooling, residual unit, fully connected layer and whole network. Planned."""
