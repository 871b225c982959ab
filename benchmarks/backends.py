"""The bundled model in every engine, float32 and int8: images per second and memory, as ratios to eager torch, in one run.

    python benchmarks/backends.py

Writes `results/backends.json`. Requires an otherwise idle machine. int8 is calibrated on CIFAR-10, which must be available.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich import print as show

from pellucid.bench import run_benchmark
from pellucid.export import export_model, quantise
from pellucid.files import atomic_write

FORMATS = ("onnx", "onnx-int8", "openvino", "openvino-int8")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "backends.json")
    parser.add_argument("--measured", type=int, default=2000, help="images that the cost of int8 is measured on")
    arguments = parser.parse_args()
    quantise.NUM_MEASURED = arguments.measured
    exports: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        paths = {}
        for name in FORMATS:
            format, _, precision = name.partition("-")
            out = Path(folder, f"{name}.onnx" if format == "onnx" else name)
            written = export_model(arguments.model, format, out, int8=precision == "int8", force=True)
            show(str(written))
            paths[name] = written.path
            exports[name] = {"bytes": written.size, "difference": written.difference.by_output} | (
                {} if written.cost is None else {"cost": asdict(written.cost)}
            )
        results = run_benchmark(arguments.model, ["torch", *FORMATS], (1, 64), (32, 256), 1.0, show, paths)
    show(results.table(), results.notes)
    with atomic_write(arguments.out) as temporary:
        temporary.write_text(json.dumps(results.to_json(["python", *sys.argv]) | {"exports": exports}, indent=1) + "\n")


if __name__ == "__main__":
    main()
