"""Degradations: clean images -> degraded images, and a record of the damage.

A degradation is a pure function of (images, strength of each image, generator) in its family's file, and a row in `DEGRADATIONS`; the
tests, the pipeline and the command line read this table. A `Pipeline` samples and applies several; `SUITES` defines named ones.

    >>> import torch
    >>> from pellucid.degradations import SUITES
    >>> from pellucid.seeding import generator
    >>> clean = torch.rand(4, 3, 32, 32, generator=generator("example"))
    >>> degraded, damage = SUITES["reference"](clean, generator("damage", 0))
    >>> tuple(degraded.shape), damage.mask.sum(dim=(1, 2, 3)).tolist(), sorted(damage.strengths)
    ((4, 3, 32, 32), [64, 64, 64, 64], ['gaussian_noise', 'occlusion'])
"""

from math import inf

from pellucid.degradations.blur import gaussian_blur
from pellucid.degradations.compression import jpeg
from pellucid.degradations.degradation import Degradation
from pellucid.degradations.mixture import Mixture
from pellucid.degradations.noise import gaussian_noise
from pellucid.degradations.occlusion import (
    CONTENTS,
    FILL,
    lost_region,
    occlusion,
    random_content,
    region_mask,
    square_mask,
    square_of,
)
from pellucid.degradations.pipeline import Pipeline, Step
from pellucid.degradations.resolution import low_resolution

__all__ = ["DEGRADATIONS", "FILL", "SUITES", "Degradation", "Mixture", "Pipeline", "Step"]

# CIFAR-10-C: Hendrycks and Dietterich 2019, from the mildest of its five levels to the most severe. Cutout: DeVries and Taylor 2017.
# Keys 1981: the bicubic kernel; x2 and x4 are the scale factors usual in papers on super-resolution.
# Pathak et al. 2016: context encoders, regions of arbitrary shape.
# fmt: off
DEGRADATIONS = {
    #                             function        unit                         valid_range     typical_range    source
    "gaussian_noise": Degradation(gaussian_noise, "sigma on the [0, 1] scale", (0, 1),   (0.02, 0.2), "CIFAR-10-C, 0.04 to 0.10"),
    "occlusion":      Degradation(occlusion,      "side in pixels",            (0, inf), (4, 16),     "Cutout, 16", mask=square_mask),
    "low_resolution": Degradation(low_resolution, "factor a side shrinks by",  (1, inf), (1.5, 4),    "Keys 1981, x2 and x4"),
    "gaussian_blur":  Degradation(gaussian_blur,  "sigma in pixels",           (0, 100), (0.5, 2),    "CIFAR-10-C, 0.4 to 1"),
    "jpeg":           Degradation(jpeg,           "quality of libjpeg",        (1, 100), (80, 10),    "CIFAR-10-C, 80 to 40"),
    "lost_region":    Degradation(lost_region,    "side in pixels",            (0, inf), (4, 16),     "Pathak et al. 2016",
                                  mask=region_mask, fill=random_content, kind="occlusion"),
}
DEGRADATIONS |= {
    f"{content}_square": Degradation(square_of(content), "side in pixels", (0, inf), (4, 16), "Cutout, 16",
                                     mask=square_mask, fill=fill, kind="occlusion")
    for content, fill in CONTENTS.items()
}
# fmt: on
"""Every degradation by name; the columns are described in `Degradation`."""

SUITES: dict[str, Pipeline | Mixture] = {
    "none": Pipeline(),
    # The paper's "Gaussian noise and occluded regions", with the parameters of the protocol.
    "reference": Pipeline((Step("gaussian_noise", 0.05), Step("occlusion", 8))),
    # Blind restoration: at most two of the steps drawn for an image are applied, and about one image in fifteen stays clean.
    "mixed": Pipeline(
        (
            Step("gaussian_blur", 0.4, 1.5, probability=0.4),
            Step("low_resolution", 1.5, 4, probability=0.4),
            Step("gaussian_noise", 0.01, 0.1, probability=0.5),
            Step("jpeg", 20, 80, probability=0.4),
            Step("lost_region", 4, 16, probability=0.4),
        ),
        at_most=2,
    ),
}
SUITES["everyday"] = Mixture({"reference": 0.5, "mixed": 0.5})
"""Pipelines and mixtures of them by name."""
