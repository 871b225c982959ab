"""Export: a trained model -> an ONNX file, an OpenVINO folder or a page for browsers, verified against torch before it is written.

The exported network takes images whose height and width are multiples of `size_multiple`; the predictor pads and crops, and
runs exported models without torch: `pellucid.load("model.onnx").predict(pictures)`.
"""

from pellucid.export.export import FORMATS, Written, export_model

__all__ = ["FORMATS", "Written", "export_model"]
