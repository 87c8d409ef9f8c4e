"""Section 4 of the survey: five axes along which a residual network can be changed.

`convolution`, `pooling`, `residual_unit`, `fully_connected` and `network` hold one method a file; each is imported by name.
"""
