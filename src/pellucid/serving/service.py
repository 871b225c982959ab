"""The prediction service: contents of picture files -> lines like those of `predictions.jsonl`. Independent of HTTP except for refusals."""

import asyncio
import base64
import json
import sys
import textwrap
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from io import BytesIO
from typing import Any

from pellucid.cores import num_cores
from pellucid.errors import UserError, out_of_memory
from pellucid.inference import Prediction, Predictor
from pellucid.inference.cores import predict_on_cores
from pellucid.inference.lines import NOT_FINITE, prediction_fields
from pellucid.inference.maps import draw_mask
from pellucid.pictures import Picture, decode_picture, encode_png
from pellucid.pictures.dicom import DEFLATED, starts_dicom
from pellucid.serving.batching import Batcher
from pellucid.serving.monitoring import ServerMetrics
from pellucid.serving.refusal import Refusal
from pellucid.serving.settings import Limits

LONGEST = 400
"""Maximum length of an error message; some libraries quote the content of the file."""

SMALL_FILE = 16_384
"""Maximum size in bytes, and in pixels, of pictures that are decoded without a thread."""


class _LargeError(Exception):
    """A small file contains a large picture."""


@dataclass
class Admission:
    """A request, its number of decoded pixels, and whether it has ended, which threads that decode for it may outlast."""

    service: "Service"
    pixels: int = 0
    ended: bool = False

    def reserve(self, index: int, pixels: int) -> None:
        """Reserve the pixels of a picture before it is decoded; raises `Refusal`. Thread-safe."""
        limits = self.service.limits
        if pixels > limits.max_pixels:
            raise Refusal(
                "too_many_pixels",
                f"Expected at most {limits.max_pixels:,} pixels in picture {index}, found {pixels:,}; scale it down or crop it.",
                index,
            )
        with self.service.lock:
            if self.pixels + pixels > limits.max_pixels_in_flight:
                raise Refusal(
                    "too_many_pixels",
                    f"Expected at most {limits.max_pixels_in_flight:,} pixels in a request, found more; send several requests.",
                    index,
                )
            if self.ended or self.service.pixels + pixels > limits.max_pixels_in_flight:
                raise Refusal("too_many_requests", "Expected room for the picture, found it taken by other requests; try again.", index)
            self.service.pixels += pixels
            self.pixels += pixels


@dataclass
class Service:
    """A predictor for concurrent requests. Start and close it in the event loop that uses it.

    name: of the model, as stated in responses; num_threads: batches that are computed at a time, see `cores.py`.
    """

    predictor: Predictor
    limits: Limits = field(default_factory=Limits)
    name: str = "bundled"
    mirror: bool = False
    metrics: ServerMetrics = field(default_factory=ServerMetrics)
    num_threads: int = 1

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.pixels, self.in_flight = 0, 0
        predict = predict_on_cores(self.predictor, self.num_threads)
        self.batcher = Batcher(predict, self.predictor.batch_size, self.metrics.batches.observe, self.num_threads)
        self.pool = ThreadPoolExecutor(max(2, num_cores()), "pictures")

    def start(self) -> None:
        """Start accepting pictures."""
        self.batcher.start()

    async def close(self) -> None:
        """Complete accepted pictures, then stop."""
        await self.batcher.close()
        self.pool.shutdown()

    @contextmanager
    def admit(self) -> Iterator[Admission]:
        """Context manager: admit a request; raises `Refusal` if too many are in flight."""
        if not self.batcher.running:
            raise Refusal("stopping", "Expected a running server, found it being stopped; try another, or try again.")
        if self.in_flight >= self.limits.max_in_flight:
            raise Refusal("too_many_requests", f"Expected at most {self.limits.max_in_flight} requests in flight, found more; try again.")
        self.in_flight += 1
        self.metrics.in_flight.inc()
        admission = Admission(self)
        try:
            yield admission
        finally:
            self.in_flight -= 1
            self.metrics.in_flight.dec()
            with self.lock:
                self.pixels -= admission.pixels
                admission.ended = True

    async def predict_contents(self, contents: Sequence[bytes], admission: Admission, restored: bool = False, mask: bool = False) -> bytes:
        """The JSON response for pictures, optionally with restored pictures and masks of lost pixels. Raises `Refusal`."""
        tasks = [asyncio.create_task(self._line(each, index, admission, restored, mask)) for index, each in enumerate(contents)]
        try:
            async with asyncio.timeout(self.limits.timeout):
                lines = await asyncio.gather(*tasks)
        except TimeoutError:
            raise Refusal(
                "timeout", f"Expected the answer within {self.limits.timeout:g} seconds, found it unfinished; send less, or try again."
            ) from None
        finally:
            for task in tasks:  # one refused picture ends the others
                task.cancel()
        return json.dumps({"predictions": lines}, ensure_ascii=False).encode()

    async def _line(self, content: bytes, index: int, admission: Admission, restored: bool, mask: bool) -> dict[str, Any]:
        picture = await self.decode_content(content, index, admission)
        prediction = await self.predict(picture, index)
        line: dict[str, Any] = {**prediction_fields(prediction), "restored": None, "mask": None, "notes": list(picture.notes)}
        if restored or mask:
            try:
                line |= await self.run(_pictures, picture, prediction, restored, mask)
            except ValueError as error:  # such as a side of more than a million pixels, which PNG files can't have
                height, width = picture.pixels.shape[:2]
                message = f"Expected a size that PNG files can have in picture {index}, found {width:,} x {height:,}; scale it down."
                raise Refusal("too_many_pixels", message, index) from error
        return line | {"model": self.name, "mirror": self.mirror}

    async def run(self, function: Any, *arguments: Any) -> Any:
        """Call a function in a thread of the pool for reading and writing pictures."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    async def decode_content(self, content: bytes, index: int, admission: Admission) -> Picture:
        """Decode the content of a file; raises `Refusal`. Small files are decoded without a thread, which would take more time."""
        if len(content) <= SMALL_FILE:
            with suppress(_LargeError):
                return self._decode(content, index, admission, SMALL_FILE)
        picture: Picture = await self.run(self._decode, content, index, admission)
        return picture

    def _decode(self, content: bytes, index: int, admission: Admission, most: int = sys.maxsize) -> Picture:
        def reserve(pixels: int) -> None:
            if pixels > most:
                raise _LargeError
            admission.reserve(index, pixels)

        if starts_dicom(content) and DEFLATED in content:
            message = f"Expected a DICOM file without deflation in picture {index}, found a deflated one; convert it."
            raise Refusal("not_a_picture", message, index)
        try:
            return decode_picture(BytesIO(content), f"picture {index}", sys.maxsize, reserve)
        except (Refusal, _LargeError):
            raise
        except UserError as error:
            raise Refusal("not_a_picture", textwrap.shorten(str(error), LONGEST), index) from error
        except Exception as error:  # damaged bytes make decoders raise nearly anything, and must not look like a defect of the server
            message = (
                f"Expected a whole picture in picture {index}, found one that can't be decoded ({type(error).__name__}); copy it again."
            )
            raise Refusal("not_a_picture", message, index) from error

    async def predict(self, picture: Picture, index: int = 0) -> Prediction:
        """Predict a picture, in a batch with others; raises `Refusal`."""
        try:
            prediction = await self.batcher.predict(picture.pixels)
        except UserError as error:
            raise Refusal("not_a_picture", textwrap.shorten(str(error), LONGEST), index) from error
        except MemoryError as error:
            raise Refusal("too_many_pixels", str(out_of_memory(f"picture {index}")), index) from error
        if prediction.broken:
            raise Refusal("not_finite", NOT_FINITE, index)
        return prediction

    def describe(self) -> dict[str, Any]:
        """The response of `GET /v1/model`."""
        return {
            "model": self.name,
            "mirror": self.mirror,
            "classes": list(self.predictor.classes),
            "damages": list(self.predictor.damages),
            "image_size": self.predictor.image_size,
            "batch_size": self.predictor.batch_size,
            "engine": self.predictor.stated,
            "pellucid": version("pellucid"),
            "limits": asdict(self.limits),
        }


def _pictures(picture: Picture, prediction: Prediction, restored: bool, mask: bool) -> dict[str, str]:
    """The requested pictures of a prediction, as PNG in data URLs."""
    contents = {}
    if restored and prediction.restored is not None:
        contents["restored"] = encode_png(replace(picture, pixels=prediction.restored))
    if mask and prediction.mask is not None and prediction.mask.any():
        contents["mask"] = encode_png(Picture(draw_mask(prediction.mask), grey=True))
    return {name: f"data:image/png;base64,{base64.b64encode(content).decode()}" for name, content in contents.items()}
