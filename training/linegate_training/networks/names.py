"""The names of all networks; kept apart so that the command line needs no Keras."""

from collections.abc import Mapping

_PACKAGE = "linegate_training.networks"

PLACES: Mapping[str, str] = {
    "alexnet": f"{_PACKAGE}.alexnet:ALEXNET",
    "basic_cnn": f"{_PACKAGE}.basic_cnn:BASIC_CNN",
    "efficientnet_lite0": f"{_PACKAGE}.efficientnet_lite0:EFFICIENTNET_LITE0",
    "lenet5": f"{_PACKAGE}.lenet5:LENET5",
    "mobilenet_v2": f"{_PACKAGE}.mobilenet_v2:MOBILENET_V2",
    "mobilenet_v3_large": f"{_PACKAGE}.mobilenet_v3:MOBILENET_V3_LARGE",
    "mobilenet_v3_small": f"{_PACKAGE}.mobilenet_v3:MOBILENET_V3_SMALL",
    "resnet101": f"{_PACKAGE}.resnet:RESNET101",
    "resnet152": f"{_PACKAGE}.resnet:RESNET152",
    "resnet50": f"{_PACKAGE}.resnet:RESNET50",
    "vgg16": f"{_PACKAGE}.vgg:VGG16",
    "vgg19": f"{_PACKAGE}.vgg:VGG19",
}
"""Module and attribute of each network by name."""

NETWORKS = tuple(sorted(PLACES))
