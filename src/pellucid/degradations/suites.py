"""Named pipelines of damage."""

from pellucid.degradations.pipeline import Pipeline, Step


def _blind(blur: float, at_most: int) -> Pipeline:
    """Blind restoration: a random selection of degradations; blur: the probability of blur."""
    return Pipeline(
        (
            Step("gaussian_blur", 0.4, 1.5, probability=blur),
            Step("low_resolution", 1.5, 4, probability=0.4),
            Step("gaussian_noise", 0.01, 0.1, probability=0.5),
            Step("jpeg", 20, 80, probability=0.4),
            Step("lost_region", 4, 16, probability=0.4),
        ),
        at_most=at_most,
    )


PIPELINES = {
    "none": Pipeline(),
    # The paper's "Gaussian noise and occluded regions", with the parameters of the protocol.
    "reference": Pipeline((Step("gaussian_noise", 0.05), Step("occlusion", 8))),
    # At most two of the steps drawn for an image are applied; about one image in fifteen stays clean.
    "mixed": _blind(blur=0.4, at_most=2),
    # One kind of damage alone: without noise, blur and low resolution can be undone. About one image in twenty stays clean.
    "single": _blind(blur=0.5, at_most=1),
}
"""The suites that are a single pipeline, by name; those of a domain are added below."""

# By domain, for images of any size: lengths are relative to the shorter side. Steps are in the order in which the damage occurs.
PIPELINES["medical"] = Pipeline(  # MRI, CT, X-rays
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
PIPELINES["driving"] = Pipeline(
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
PIPELINES["surveillance"] = Pipeline(
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
PIPELINES["art"] = Pipeline(  # photographs on paper, paintings
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
