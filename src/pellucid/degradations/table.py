"""The table of degradations, used by pipelines, the command line and tests."""

from math import inf

from pellucid.degradations.blur import defocus_blur, gaussian_blur
from pellucid.degradations.compression import jpeg, video_compression
from pellucid.degradations.corruptions import CORRUPTIONS
from pellucid.degradations.degradation import Degradation, destruction
from pellucid.degradations.exposure import low_light, over_exposure
from pellucid.degradations.motion import motion_blur
from pellucid.degradations.noise import gaussian_noise, impulse_noise, low_dose, poisson_noise, rician_noise
from pellucid.degradations.occlusion import CONTENTS, grey, random_content, region_mask, square_mask
from pellucid.degradations.resolution import low_resolution
from pellucid.degradations.wear import fading, paper, scratch_colour, scratch_mask, stains, tear_mask
from pellucid.degradations.weather import fog, rain

# CIFAR-10-C: Hendrycks and Dietterich 2019, from the mildest of its five levels to the most severe. Cutout: DeVries and Taylor 2017.
# Keys 1981: the bicubic kernel; x2 and x4 are the scale factors usual in papers on super-resolution.
# Pathak et al. 2016: context encoders, regions of arbitrary shape. MRI: Gudbjartsson and Patz 1995, the Rician distribution.
# Beer-Lambert: photons behind an absorbing body. Koschmieder 1924: the light of hazy air. H.264: ITU-T, its quantisation parameter.
# fmt: off
DEGRADATIONS = {
    #                                function           unit                         valid_range     typical_range    source
    "gaussian_noise":    Degradation(gaussian_noise,    "sigma on the [0, 1] scale", (0, 1),   (0.02, 0.2), "CIFAR-10-C, 0.04 to 0.10"),
    "occlusion":         destruction(square_mask, grey, "side in pixels",            (0, inf), (4, 16),     "Cutout, 16"),
    "low_resolution":    Degradation(low_resolution,    "factor a side shrinks by",  (1, inf), (1.5, 4),    "Keys 1981, x2 and x4"),
    "gaussian_blur":     Degradation(gaussian_blur,     "sigma in pixels",           (0, 100), (0.5, 2),    "CIFAR-10-C, 0.4 to 1"),
    "jpeg":              Degradation(jpeg,              "quality of libjpeg",        (1, 100), (80, 10),    "CIFAR-10-C, 80 to 40"),
    "lost_region":       destruction(region_mask, random_content, "side in pixels",  (0, inf), (4, 16),     "Pathak et al. 2016",
                                     kind="occlusion"),
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
    "scratches":         destruction(scratch_mask, scratch_colour, "number",         (0, 50),  (2, 20),     "own"),
    "tears":             destruction(tear_mask, paper,  "width in pixels",           (0, inf), (2, 10),     "own"),
}
"""Every degradation by name; the columns are described in `Degradation`."""
DEGRADATIONS |= {
    f"{content}_square": destruction(square_mask, fill, "side in pixels", (0, inf), (4, 16), "Cutout, 16", kind="occlusion")
    for content, fill in CONTENTS.items()
}
DEGRADATIONS |= {
    f"{name}_c": Degradation(each.corrupt, "severity of CIFAR-10-C or ImageNet-C", (1, 5), (1, 5), "Hendrycks and Dietterich 2019")
    for name, each in CORRUPTIONS.items()
}
# fmt: on
