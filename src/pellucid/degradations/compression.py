"""JPEG compression."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor


def jpeg(images: Tensor, quality: Tensor, _generator: Generator) -> Tensor:
    """Encodes each image as JPEG and decodes it again.

    images: (B, 3, H, W) in [0, 1], quantised to 8 bits; quality: (B,) from 1, the worst, to 100, rounded to integers, on libjpeg's
    scale, with chroma subsampling 4:2:0. The codec is OpenCV's and runs on the CPU, whatever device the images are on.
    """
    import cv2
    import numpy as np
    import torch

    pixels = images.detach().mul(255).round().to("cpu", torch.uint8).permute(0, 2, 3, 1).flip(3).numpy()  # flip: OpenCV expects BGR
    decoded = np.empty_like(pixels)
    for index, setting in enumerate(quality.round().int().tolist()):
        _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(pixels[index]), [cv2.IMWRITE_JPEG_QUALITY, setting])
        decoded[index] = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return torch.from_numpy(decoded).flip(3).permute(0, 3, 1, 2).contiguous().to(images).div_(255)
