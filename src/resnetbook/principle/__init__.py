"""Section 2 of the survey: the residual block, plain twins, gradient flow, and why it works.

Plain torch: nothing here imports another package of the book.
"""
