"""Writes what torchvision's own MobileNetV2 says about made-up pictures; run by hand.

It needs PyTorch and torchvision, which linegate does not::

    python -m tests.training.make_torch_logits mobilenet_v2-b0353104.pth
"""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

REFERENCE = Path(__file__).parent / "data" / "mobilenet_v2_torchvision.npz"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""torchvision's normalization of RGB 0..1."""


def pictures() -> npt.NDArray[np.uint8]:
    """Return three RGB pictures of coloured squares with some noise, ``(3, 224, 224, 3)``."""
    rng = np.random.default_rng(20261122)
    squares = rng.integers(20, 236, (3, 7, 7, 3)).repeat(32, axis=1).repeat(32, axis=2)
    return (squares + rng.integers(-20, 20, squares.shape)).astype(np.uint8)


def normalized(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Normalize as torchvision does, channels last."""
    mean: npt.NDArray[np.float32] = np.array(MEAN, np.float32)
    deviation: npt.NDArray[np.float32] = np.array(DEVIATION, np.float32)
    scaled: npt.NDArray[np.float32] = images.astype(np.float32) / np.float32(255)
    return (scaled - mean) / deviation


def main() -> None:
    import torch  # type: ignore[import-not-found]  # not in linegate's environment
    import torchvision  # type: ignore[import-not-found]

    model = torchvision.models.mobilenet_v2()
    model.load_state_dict(torch.load(sys.argv[1], weights_only=True))
    model.eval()
    with torch.no_grad():
        logits = model(torch.from_numpy(normalized(pictures()).transpose(0, 3, 1, 2).copy()))
    np.savez(REFERENCE, logits=logits.numpy(), torchvision=torchvision.__version__)


if __name__ == "__main__":
    main()
