"""The page of `pellucid export --format web` in Chromium, compared with the same model in ONNX Runtime in Python on one thread.

    python benchmarks/browser.py

Both predict the same picture, from decoded pixels to restored ones, in turns; the figure is the ratio of the medians. The page is measured
on one thread and on several, from a file server without the headers that allow them: the page's service worker adds these. Writes
`results/browser.json`. Requires an otherwise idle machine, playwright, Chromium, and npm or `--runtime`.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread
from time import perf_counter
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # of ONNX Runtime in Python

import numpy as np
import torch
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

import pellucid
from pellucid import pictures
from pellucid.device import describe_device
from pellucid.export import export_model
from pellucid.files import atomic_write
from pellucid.provenance import stamp

RESULTS = Path(__file__).parents[1] / "results" / "browser.json"

PLAIN, THREADED, PYTHON = "page, one thread", "page, threads", "Python, one thread"
WAIT = 300_000


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--page", type=Path, help="a page that was exported before")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--runtime", type=Path, help="npm's archive of onnxruntime-web")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    with TemporaryDirectory() as folder, ExitStack() as stack:
        site = options.page or export_model(options.model, "web", Path(folder, "page"), runtime=options.runtime).path
        predictor = pellucid.load(site / "model.onnx")
        random = np.random.default_rng(0)
        smooth = np.kron(random.integers(0, 256, (options.side // 16, options.side // 16, 3)), np.ones((16, 16, 1)))
        picture = (smooth + random.normal(0, 12, smooth.shape)).clip(0, 255).astype(np.uint8)
        pictures.write(Path(folder, "picture.png"), picture)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox", "--disable-gpu"])
        stack.callback(browser.close)
        address = f"{stack.enter_context(serving(site))}/?compute=wasm"
        pages = {PLAIN: open_page(browser, f"{address}&threads=1"), THREADED: open_page(browser, address)}
        stated = {PYTHON: predictor.stated} | {name: page.locator("#computed").inner_text() for name, page in pages.items()}
        times: dict[str, list[float]] = {name: [] for name in stated}
        whole: dict[str, list[float]] = {name: [] for name in pages}
        for repeat in range(options.repeats + 1):
            started = perf_counter()
            predictor.predict(picture)
            measured = {PYTHON: perf_counter() - started}
            for name, page in pages.items():
                started = perf_counter()
                measured[name] = predict(page, Path(folder, "picture.png"))
                if repeat:
                    whole[name].append(perf_counter() - started)
            for name, seconds in measured.items():
                if repeat:  # the first is a warm-up
                    times[name].append(seconds)
        figures = {
            name: {
                "seconds": round(median(seconds), 4),
                "speed_against_python": round(median(times[PYTHON]) / median(seconds), 3),
                "stated": stated[name],
            }
            | ({"seconds_from_drop_to_shown": round(median(whole[name]), 4)} if name in whole else {})
            for name, seconds in times.items()
        }
        version = browser.version
    table = Table(title=f"{options.side} x {options.side} pixels, medians of {options.repeats}, Chromium {version}")
    for heading in ("", "seconds", "speed against Python"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, row in figures.items():
        table.add_row(name, f"{row['seconds']:.3f}", f"{row['speed_against_python']:.2f}")
    Console(width=120).print(table)
    torch.set_num_threads(1)
    origin = stamp(["python", "benchmarks/browser.py", *sys.argv[1:]], describe_device(torch.device("cpu")))
    about: dict[str, Any] = {"model": options.model, "side": options.side, "repeats": options.repeats, "chromium": version}
    with atomic_write(options.out) as aside:
        aside.write_text(json.dumps(origin | about | {"cores": os.cpu_count(), "figures": figures}, indent=1) + "\n")


def open_page(browser: Browser, address: str) -> Page:
    """The page, ready and with the headers."""
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector("body.ready", timeout=WAIT)
    if not page.evaluate("crossOriginIsolated"):  # the service worker took longer than the page waits
        page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        page.reload()
        page.wait_for_selector("body.ready", timeout=WAIT)
    if not page.evaluate("crossOriginIsolated"):
        raise RuntimeError("Expected a page that may have threads, found one that is not cross-origin isolated.")
    return page


def predict(page: Page, picture: Path) -> float:
    """Seconds that the page states for a picture."""
    page.evaluate("() => { delete document.querySelector('#caption').dataset.milliseconds; }")
    page.locator("#file").set_input_files(picture)
    page.wait_for_selector("#caption[data-milliseconds], #error:visible", timeout=WAIT)
    if page.locator("#error").is_visible():
        raise RuntimeError(page.locator("#error").inner_text())
    return float(page.evaluate("document.querySelector('#caption').dataset.milliseconds")) / 1000


class Handler(SimpleHTTPRequestHandler):
    """A file server without a log."""

    def log_message(self, *_: Any) -> None:
        """No log."""


@contextmanager
def serving(site: Path) -> Iterator[str]:
    """The address of a folder's file server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(site)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


if __name__ == "__main__":
    main()
