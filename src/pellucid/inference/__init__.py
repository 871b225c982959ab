"""Inference: pictures -> classes, restored pictures, and estimates of the damage. Independent of training and, for exported models,
of torch.

`Predictor` takes arrays; `predict_files` takes files and folders, and writes a contact sheet.

    >>> import numpy as np
    >>> from pellucid.inference import Predictor
    >>> from pellucid.models import EncoderConfig, ModelConfig, build_model
    >>> network = build_model(ModelConfig(encoder=EncoderConfig(widths=(8, 16), depths=(1, 1))), num_classes=2).eval()
    >>> prediction = Predictor(network, ("cat", "dog")).predict(np.zeros((33, 47, 3), np.uint8))[0]
    >>> prediction.label in ("cat", "dog"), prediction.restored.shape
    (True, (33, 47, 3))
"""

from pellucid.inference.backend import Backend, Outputs
from pellucid.inference.predict import Summary, predict_files
from pellucid.inference.prediction import EstimatedDamage, Prediction
from pellucid.inference.predictor import Predictor

__all__ = ["Backend", "EstimatedDamage", "Outputs", "Prediction", "Predictor", "Summary", "predict_files"]
