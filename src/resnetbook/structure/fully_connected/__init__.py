"""Section 4.4 of the survey: four ways to decide, one a file."""

from resnetbook.structure.fully_connected.bayesian import BayesianLinear, expected_calibration_error
from resnetbook.structure.fully_connected.convolutional import ConvolutionalHead, FCNHead, fc_to_conv
from resnetbook.structure.fully_connected.deep_supervision import DeepSupervision, fading
from resnetbook.structure.fully_connected.fusion import bayes_fuse
from resnetbook.structure.fully_connected.svm import SVMHead, fit_svm

__all__ = [
    "BayesianLinear",
    "ConvolutionalHead",
    "DeepSupervision",
    "FCNHead",
    "SVMHead",
    "bayes_fuse",
    "expected_calibration_error",
    "fading",
    "fc_to_conv",
    "fit_svm",
]
