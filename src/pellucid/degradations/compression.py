"""Compression: JPEG by a real codec, and an approximation of the intra frames of a video codec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pellucid.degradations.fields import cosines
from pellucid.lazy import cv2, np, torch

if TYPE_CHECKING:
    from torch import Generator, Tensor


def jpeg(images: Tensor, quality: Tensor, _generator: Generator) -> Tensor:
    """Encodes each image as JPEG and decodes it again.

    images: (B, 3, H, W) in [0, 1], quantised to 8 bits; quality: (B,) from 1, the worst, to 100, rounded to integers, on libjpeg's
    scale, with chroma subsampling 4:2:0. The codec is OpenCV's and runs on the CPU, whatever device the images are on.
    """
    if len(images) == 0:
        return images.clone()
    # OpenCV multiplies and rounds in one pass, but in float32; it takes a tenth of torch's time.
    scale = 255 if images.dtype == torch.float32 else 1
    values = (images if scale == 255 else images.mul(255).round_()).detach().cpu().contiguous().numpy()
    pixels = np.empty(values.shape, np.uint8)
    cv2.convertScaleAbs(values.reshape(1, -1), dst=pixels.reshape(1, -1), alpha=scale)
    picture = np.empty((*values.shape[2:], 3), np.uint8)
    for planes, setting in zip(pixels, quality.round().int().tolist(), strict=True):
        reversed_planes = tuple(planes[::-1])  # OpenCV expects BGR
        cv2.merge(reversed_planes, dst=picture)
        _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, setting])
        cv2.split(cv2.imdecode(encoded, cv2.IMREAD_COLOR), reversed_planes)
    return torch.from_numpy(pixels).to(images).div_(255)


TRANSFORM_SIDE = 8
"""Side in pixels of the transform blocks."""

DEAD_ZONE = 1 / 6
"""Dead zone of the quantiser, in steps below one half: encoders round small coefficients to zero."""


def video_compression(images: Tensor, quantiser: Tensor, _generator: Generator) -> Tensor:
    """Quantises the cosine transform of 8 x 8 blocks with one step for all frequencies, as H.264 does, with colour at half resolution.

    quantiser: (B,) H.264's parameter from 0 to 51: the step is 1 of 255 levels at 4 and doubles with every 6. There is no prediction
    and no deblocking filter: the artefacts are blocks and lost detail, as in surveillance video at a low bit rate.
    """
    num, _, height, width = images.shape
    if num == 0:
        return images.clone()
    step = ((quantiser.to(images.dtype) - 4) / 6).exp2().div(255).view(-1, 1, 1, 1)
    to_colours = images.new_tensor(((1, 0, 1.402), (1, -0.344136, -0.714136), (1, 1.772, 0)))  # ITU-R BT.601, full range
    planes = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_colours), images)
    planes = torch.nn.functional.pad(planes, (0, -width % (2 * TRANSFORM_SIDE), 0, -height % (2 * TRANSFORM_SIDE)), mode="replicate")
    luma = _quantised(planes[:, :1], step)
    chroma = torch.nn.functional.interpolate(
        _quantised(torch.nn.functional.avg_pool2d(planes[:, 1:], 2), step), scale_factor=2, mode="bilinear"
    )
    decoded = torch.einsum("ij,bjhw->bihw", to_colours, torch.cat((luma, chroma), dim=1))
    return decoded[:, :, :height, :width].contiguous().clamp_(0, 1)


def _quantised(planes: Tensor, step: Tensor) -> Tensor:
    """Planes (B, C, H, W) whose blocks' coefficients are whole multiples of `step` (B, 1, 1, 1)."""
    num, channels, height, width = planes.shape
    transform = cosines(TRANSFORM_SIDE, TRANSFORM_SIDE, planes)
    blocks = planes.view(num, channels, height // TRANSFORM_SIDE, TRANSFORM_SIDE, width // TRANSFORM_SIDE, TRANSFORM_SIDE).transpose(3, 4)
    levels = (transform @ blocks @ transform.T) / step.view(-1, 1, 1, 1, 1, 1)
    levels = (levels.abs() + 0.5 - DEAD_ZONE).floor() * levels.sign()
    blocks = transform.T @ (levels * step.view(-1, 1, 1, 1, 1, 1)) @ transform
    return blocks.transpose(3, 4).reshape(planes.shape)
