"""Section 2: the residual block, gradients, and what the networks of section 1 are good for."""
