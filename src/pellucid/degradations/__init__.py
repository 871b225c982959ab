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

from pellucid.degradations.blur import defocus_blur, gaussian_blur
from pellucid.degradations.compression import jpeg, video_compression
from pellucid.degradations.corruptions import CORRUPTIONS, at_severity
from pellucid.degradations.degradation import Degradation
from pellucid.degradations.exposure import low_light, over_exposure
from pellucid.degradations.mixture import Mixture
from pellucid.degradations.motion import motion_blur
from pellucid.degradations.noise import gaussian_noise, impulse_noise, low_dose, poisson_noise, rician_noise
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
from pellucid.degradations.wear import fading, paper, scratch_colour, scratch_mask, scratches, stains, tear_mask, tears
from pellucid.degradations.weather import fog, rain

__all__ = ["CORRUPTIONS", "DEGRADATIONS", "FILL", "SUITES", "Degradation", "Mixture", "Pipeline", "Step"]

# CIFAR-10-C: Hendrycks and Dietterich 2019, from the mildest of its five levels to the most severe. Cutout: DeVries and Taylor 2017.
# Keys 1981: the bicubic kernel; x2 and x4 are the scale factors usual in papers on super-resolution.
# Pathak et al. 2016: context encoders, regions of arbitrary shape. MRI: Gudbjartsson and Patz 1995, the Rician distribution.
# Beer-Lambert: photons behind an absorbing body. Koschmieder 1924: the light of hazy air. H.264: ITU-T, its quantisation parameter.
# fmt: off
DEGRADATIONS = {
    #                                function           unit                         valid_range     typical_range    source
    "gaussian_noise":    Degradation(gaussian_noise,    "sigma on the [0, 1] scale", (0, 1),   (0.02, 0.2), "CIFAR-10-C, 0.04 to 0.10"),
    "occlusion":         Degradation(occlusion,         "side in pixels",            (0, inf), (4, 16),     "Cutout, 16", mask=square_mask),
    "low_resolution":    Degradation(low_resolution,    "factor a side shrinks by",  (1, inf), (1.5, 4),    "Keys 1981, x2 and x4"),
    "gaussian_blur":     Degradation(gaussian_blur,     "sigma in pixels",           (0, 100), (0.5, 2),    "CIFAR-10-C, 0.4 to 1"),
    "jpeg":              Degradation(jpeg,              "quality of libjpeg",        (1, 100), (80, 10),    "CIFAR-10-C, 80 to 40"),
    "lost_region":       Degradation(lost_region,       "side in pixels",            (0, inf), (4, 16),     "Pathak et al. 2016",
                                     mask=region_mask, fill=random_content, kind="occlusion"),
    "poisson_noise":     Degradation(poisson_noise,     "photons of a white pixel",  (1, inf), (500, 20),   "CIFAR-10-C, 500 to 50"),
    "impulse_noise":     Degradation(impulse_noise,     "share of the values",       (0, 1),   (0.01, 0.2), "CIFAR-10-C, 0.01 to 0.07"),
    "rician_noise":      Degradation(rician_noise,      "sigma on the [0, 1] scale", (0, 1),   (0.02, 0.2), "MRI"),
    "low_dose":          Degradation(low_dose,          "photons in a clear pixel",  (1, inf), (3000, 100), "Beer-Lambert"),
    "defocus_blur":      Degradation(defocus_blur,      "radius in pixels",          (0, 100), (0.7, 4),    "ImageNet-C, 3 to 10"),
    "motion_blur":       Degradation(motion_blur,       "length in pixels",          (0, 200), (2, 12),     "ImageNet-C, about 5 to 20"),
    "fog":               Degradation(fog,               "optical depth at the horizon", (0, 20), (0.5, 4),  "Koschmieder 1924"),
    "rain":              Degradation(rain,              "share of the pixels in streaks", (0, 1), (0.05, 0.4), "own"),
    "low_light":         Degradation(low_light,         "stops of underexposure",    (0, 10),  (1, 5),      "own, noise of a small sensor"),
    "over_exposure":     Degradation(over_exposure,     "stops of overexposure",     (0, 10),  (0.5, 3),    "own"),
    "video_compression": Degradation(video_compression, "quantiser of H.264",        (0, 51),  (26, 44),    "H.264"),
    "fading":            Degradation(fading,            "amount from 0 to 1",        (0, 1),   (0.2, 0.9),  "own"),
    "stains":            Degradation(stains,            "side in pixels",            (0, inf), (4, 16),     "own"),
    "scratches":         Degradation(scratches,         "number",                    (0, 50),  (2, 20),     "own",
                                     mask=scratch_mask, fill=scratch_colour),
    "tears":             Degradation(tears,             "width in pixels",           (0, inf), (2, 10),     "own",
                                     mask=tear_mask, fill=paper),
}
DEGRADATIONS |= {
    f"{content}_square": Degradation(square_of(content), "side in pixels", (0, inf), (4, 16), "Cutout, 16",
                                     mask=square_mask, fill=fill, kind="occlusion")
    for content, fill in CONTENTS.items()
}
DEGRADATIONS |= {
    f"{name}_c": Degradation(at_severity(name), "severity of CIFAR-10-C or ImageNet-C", (1, 5), (1, 5), "Hendrycks and Dietterich 2019")
    for name in CORRUPTIONS
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
# By domain, for images of any size: lengths are parts of the shorter side. Steps stand in the order in which the damage happens.
SUITES["medical"] = Pipeline(  # MRI, CT, X-rays
    (
        Step("motion_blur", 0.01, 0.05, probability=0.25, relative=True),
        Step("gaussian_blur", 0.003, 0.012, probability=0.25, relative=True),
        Step("low_resolution", 1.5, 4, probability=0.35),
        Step("rician_noise", 0.02, 0.12, probability=0.5),
        Step("low_dose", 100, 2000, probability=0.3),
        Step("black_square", 0.1, 0.3, probability=0.2, relative=True),  # without signal
    ),
    at_most=3,
)
SUITES["driving"] = Pipeline(
    (
        Step("fog", 0.5, 3, probability=0.2),
        Step("snow_c", 1, 4, probability=0.15),
        Step("rain", 0.03, 0.2, probability=0.25),
        Step("lost_region", 0.1, 0.25, probability=0.15, relative=True),  # dirt on the lens
        Step("motion_blur", 0.01, 0.06, probability=0.3, relative=True),
        Step("defocus_blur", 0.005, 0.02, probability=0.2, relative=True),
        Step("low_light", 1, 4.5, probability=0.2),
        Step("over_exposure", 0.5, 2, probability=0.15),
        Step("jpeg", 15, 70, probability=0.3),
    ),
    at_most=3,
)
SUITES["surveillance"] = Pipeline(
    (
        Step("rain", 0.03, 0.15, probability=0.1),
        Step("motion_blur", 0.01, 0.06, probability=0.3, relative=True),
        Step("defocus_blur", 0.005, 0.02, probability=0.25, relative=True),
        Step("low_light", 1, 5, probability=0.4),
        Step("low_resolution", 2, 5, probability=0.4),
        Step("gaussian_noise", 0.02, 0.1, probability=0.3),
        Step("video_compression", 28, 42, probability=0.5),
    ),
    at_most=3,
)
SUITES["art"] = Pipeline(  # photographs on paper, paintings
    (
        Step("gaussian_blur", 0.003, 0.01, probability=0.15, relative=True),
        Step("fading", 0.2, 0.9, probability=0.5),
        Step("stains", 0.15, 0.4, probability=0.4, relative=True),
        Step("scratches", 2, 15, probability=0.5),
        Step("tears", 0.03, 0.12, probability=0.3, relative=True),
        Step("lost_region", 0.08, 0.25, probability=0.3, relative=True),
    ),
    at_most=4,
)
"""Pipelines and mixtures of them by name."""
