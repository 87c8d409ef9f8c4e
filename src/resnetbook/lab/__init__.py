"""What all experiments share: data, training, evaluation, results, figures and the experiments themselves.

Importing this package imports nothing heavy; `resnetbook.lab.results` reads records without torch.
"""
