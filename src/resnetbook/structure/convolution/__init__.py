"""Section 4.1 of the survey: eight ways to change a convolution, one idea a file."""

from resnetbook.structure.convolution.asymmetric import AsymmetricConv2d, separate
from resnetbook.structure.convolution.conv3d import VoxRes, VoxResNet, inflate
from resnetbook.structure.convolution.deconvnet import deconvnet
from resnetbook.structure.convolution.deformable import DeformableConv2d, deformable_conv2d
from resnetbook.structure.convolution.dense import DenseConv2d
from resnetbook.structure.convolution.mlpconv import MLPConv2d, NetworkInNetwork
from resnetbook.structure.convolution.stacked import StackedConv, composed_kernel
from resnetbook.structure.convolution.super_resolution import DeconvSR
from resnetbook.structure.convolution.transposed import bilinear_kernel, transposed_conv2d
from resnetbook.structure.convolution.widening import wide_parameters

__all__ = [
    "AsymmetricConv2d",
    "DeconvSR",
    "DeformableConv2d",
    "DenseConv2d",
    "MLPConv2d",
    "NetworkInNetwork",
    "StackedConv",
    "VoxRes",
    "VoxResNet",
    "bilinear_kernel",
    "composed_kernel",
    "deconvnet",
    "deformable_conv2d",
    "inflate",
    "separate",
    "transposed_conv2d",
    "wide_parameters",
]
