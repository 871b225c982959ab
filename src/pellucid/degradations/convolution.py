"""Convolution with a separate kernel for each image: by OpenCV for large images on the CPU, otherwise by torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pellucid.lazy import cv2, np, torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    Border = Literal["replicate", "reflect"]

FOURIER_SIDE = 19
"""Kernel side in pixels from which torch uses the Fourier transform, which is faster than the direct sum there."""

SMOOTH = (16, 18, 20, 24, 27, 30, 32, 36, 40, 45, 48, 54, 60, 64, 72, 80, 90, 96, 108, 120, 128)
"""Lengths, up to a factor of a power of two, for which the Fourier transform is fast."""

MANY_PIXELS = 64 * 64
"""Pixels of an image from which OpenCV is faster, one call for each plane included: a third of the time at 224 x 224."""

DIRECT = 129
"""Maximum number of kernel values that OpenCV sums directly, skipping zeros; for larger kernels it uses the Fourier transform."""

DENSE = 150
"""Number of non-zero kernel values from which the Fourier transform is faster than direct sums over parts of the kernel."""


def convolve(images: Tensor, kernels: Tensor, border: Border = "reflect") -> Tensor:
    """Correlates each image (B, C, H, W) with its kernel (B, K, K), K odd, in the images' dtype.

    border: padding: the edge pixels, or the mirror image without the edge repeated, which is OpenCV's default.
    """
    if suits_opencv(images):
        return _convolve_planes(images, kernels, border)
    num, channels, height, width = images.shape
    side = kernels.shape[-1]
    if num == 0:
        return images.clone()
    padded = pad_border(images, side // 2, border)
    if side < FOURIER_SIDE:
        # One group for each image and channel, so that each image has its own kernel.
        weight = kernels.repeat_interleave(channels, dim=0).unsqueeze(1)
        result: Tensor = torch.nn.functional.conv2d(padded.reshape(1, num * channels, *padded.shape[2:]), weight, groups=num * channels)
        return result.view(images.shape)
    size = [_smooth(length) for length in padded.shape[2:]]
    spectrum = torch.fft.rfft2(padded, s=size) * torch.fft.rfft2(kernels, s=size).conj().unsqueeze(1)
    result = torch.fft.irfft2(spectrum, s=size)[..., :height, :width]
    return result.contiguous()


def convolve_separable(images: Tensor, kernels: Tensor) -> Tensor:
    """Correlates the columns and then the rows of each image (B, C, H, W) with its symmetric kernel (B, K), K odd; edges are repeated."""
    num, channels, height, _ = images.shape
    if suits_opencv(images):
        result = torch.empty_like(images, memory_format=torch.contiguous_format)
        values = kernels.numpy()
        margins = (values != 0).argmax(axis=1)  # zero padding for the larger radius of another image
        for index, source, target in _planes(images, result):
            kernel = values[index, margins[index] : values.shape[1] - margins[index]]
            for plane, filtered in zip(source, target, strict=True):
                cv2.sepFilter2D(plane, -1, kernel, kernel, dst=filtered, borderType=cv2.BORDER_REPLICATE)
        return result
    radius = kernels.shape[1] // 2
    weight = kernels.repeat_interleave(channels, dim=0)
    planes = pad_border(images, radius, "replicate").reshape(1, num * channels, height + 2 * radius, -1)
    planes = torch.nn.functional.conv2d(planes, weight[:, None, :, None], groups=num * channels)
    planes = torch.nn.functional.conv2d(planes, weight[:, None, None, :], groups=num * channels)
    return planes.reshape(images.shape)


def pad_border(images: Tensor, radius: int, border: Border) -> Tensor:
    """Pad images (B, C, H, W) by `radius` pixels on every side; any radius and size."""
    if border == "replicate" or radius < min(images.shape[2:]):
        return torch.nn.functional.pad(images, (radius,) * 4, mode=border)
    for dim in (2, 3):  # several reflections, which torch does not support
        length = images.shape[dim]
        period = max(1, 2 * (length - 1))
        at = torch.arange(-radius, length + radius, device=images.device).remainder(period)
        images = images.index_select(dim, torch.minimum(at, period - at))
    return images


def _convolve_planes(images: Tensor, kernels: Tensor, border: Border) -> Tensor:
    """`convolve` by OpenCV, plane by plane, as a sum over parts of the kernel."""
    outside = cv2.BORDER_REPLICATE if border == "replicate" else cv2.BORDER_REFLECT_101
    result = torch.empty_like(images, memory_format=torch.contiguous_format)
    for index, source, target in _planes(images, result):
        first, *others = _parts(kernels[index].numpy())
        for plane, filtered in zip(source, target, strict=True):
            _correlate(plane, *first, outside, filtered)
            for part in others:
                filtered += _correlate(plane, *part, outside)
    return result


def _correlate(plane: Any, part: Any, top: int, left: int, outside: int, target: Any = None) -> Any:
    """Correlates a plane (H, W) with a part of a kernel; top, left: offset of the part from the centre of the kernel."""
    (height, width), (rows, columns) = plane.shape, part.shape
    if -rows < top <= 0 and -columns < left <= 0:
        return cv2.filter2D(plane, -1, part, dst=target, anchor=(-left, -top), borderType=outside)
    # OpenCV requires parts that contain the kernel's centre: shift the plane instead of the part.
    reach = max(abs(top), abs(left)) + max(rows, columns)
    wide = cv2.copyMakeBorder(plane, reach, reach, reach, reach, outside)[reach + top :, reach + left :]
    filtered = cv2.filter2D(wide[: height + rows - 1, : width + columns - 1], -1, part, anchor=(0, 0))[:height, :width]
    if target is not None:
        target[:] = filtered
    return filtered


def _planes(images: Tensor, result: Tensor) -> Iterator[tuple[int, Any, Any]]:
    """For each image: its index, its planes (C, H, W), and the planes of the result, as arrays that share memory with the tensors."""
    return zip(range(len(images)), images.detach().contiguous().numpy(), result.numpy(), strict=True)


def _parts(kernel: Any) -> list[tuple[Any, int, int]]:
    """Rectangles that cover the non-zero values of a kernel: their values, and the offsets of their first row and column from the
    centre."""
    centre = kernel.shape[0] // 2
    if not 0 < np.count_nonzero(kernel) < DENSE:
        return [(kernel, -centre, -centre)]
    parts, boxes = [], [(0, 0, *kernel.shape)]
    while boxes:
        top, left, bottom, right = boxes.pop()
        rows, columns = (np.flatnonzero(kernel[top:bottom, left:right].any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            continue
        top, left, bottom, right = (int(edge) for edge in (top + rows[0], left + columns[0], top + rows[-1] + 1, left + columns[-1] + 1))
        height, width = bottom - top, right - left
        first = min(top, centre), min(left, centre)
        size = max(bottom, centre + 1) - first[0], max(right, centre + 1) - first[1]
        if size[0] * size[1] <= DIRECT:  # including the centre
            values = np.zeros(size, kernel.dtype)
            values[top - first[0] :, left - first[1] :][:height, :width] = kernel[top:bottom, left:right]
            parts.append((values, first[0] - centre, first[1] - centre))
        elif height * width > DIRECT:
            middle = (top + bottom) // 2 if height > width else (left + right) // 2
            boxes += (
                [(top, left, middle, right), (middle, left, bottom, right)]
                if height > width
                else [(top, left, bottom, middle), (top, middle, bottom, right)]
            )
        else:
            parts.append((np.ascontiguousarray(kernel[top:bottom, left:right]), top - centre, left - centre))
    return parts


def suits_opencv(images: Tensor) -> bool:
    """Whether OpenCV or scipy is faster than torch for these images."""
    return images.device.type == "cpu" and images.shape[2] * images.shape[3] >= MANY_PIXELS


def _smooth(length: int) -> int:
    """The smallest length of at least `length` that is one of `SMOOTH` times a power of two."""
    factor = 1
    while SMOOTH[-1] * factor < length:
        factor *= 2
    return next(factor * smooth for smooth in SMOOTH if factor * smooth >= length)
