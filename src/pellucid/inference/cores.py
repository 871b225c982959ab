"""Cores of a CPU for torch: small pictures are computed by one core for each batch, several batches at a time; large ones by all cores.

With several threads for one operator, all of them wait for the slowest after each operator, while reading, writing, the server and its
clients take cores from them: with small pictures, most of the time is waiting. A batch on one core does not wait for other threads.
"""

import sys
import threading
from collections.abc import Callable, Sequence

from pellucid.inference.backend import MirroredBackend
from pellucid.inference.prediction import Prediction
from pellucid.inference.predictor import Predictor
from pellucid.pictures import Pixels

LARGE_PICTURE = 65_536
"""Number of pixels from which a picture is computed by all cores."""


def num_batches(predictor: Predictor) -> int:
    """The number of batches to compute at a time: torch's threads on a CPU; otherwise one, since engines have threads of their own."""
    if "torch" not in sys.modules:  # exported models run without it
        return 1
    import torch

    from pellucid.inference.torch_backend import TorchBackend

    backend = predictor.backend.backend if isinstance(predictor.backend, MirroredBackend) else predictor.backend
    if not isinstance(backend, TorchBackend) or backend.device.type != "cpu":
        return 1
    return torch.get_num_threads()


def predict_on_cores(predictor: Predictor, num_threads: int) -> Callable[[Sequence[Pixels]], list[Prediction]]:
    """`predictor.predict` for concurrent calls, each in a thread of its own, of which `num_threads` share as many cores.

    With one thread, one call computes at a time, and the engine's own threads are left as they are.
    """
    all_cores, current = threading.Lock(), threading.local()

    def use(number: int) -> None:
        if num_threads > 1 and getattr(current, "number", None) != number:  # setting it clears caches of torch
            import torch

            torch.set_num_threads(number)
            current.number = number

    def predict(pictures: Sequence[Pixels]) -> list[Prediction]:
        if num_threads > 1 and max(picture.size // 3 for picture in pictures) < LARGE_PICTURE:
            use(1)
            return predictor.predict(pictures)
        with all_cores:
            use(num_threads)
            return predictor.predict(pictures)

    return predict
