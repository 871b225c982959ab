"""The exported page in a real Chromium: predictions are those of Python, and nothing leaves the page's own address."""

import base64
import io
import json
import os
import re
import shutil
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import bad_files
import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin
from test_export import mistake, saved

import pellucid
from pellucid import pictures
from pellucid.data.fetch import UnavailableError
from pellucid.errors import UserError
from pellucid.export import export_model, web
from pellucid.inference import Predictor, exported, lines, schema, tiling
from pellucid.inference.backend import SMALLEST
from pellucid.inference.tiling import build_tiling
from pellucid.models import EncoderConfig, ModelConfig, gate, overview
from pellucid.models.evidence import evidence_of
from pellucid.models.overview import scale_down
from pellucid.pictures import picture as picture_module
from pellucid.serving.page_work import example_pictures

SOURCES = Path(web.__file__).parent / "web"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
WAIT = 60_000
"""Milliseconds; the cores may be busy."""

PATIENT = "const wait = setTimeout; self.setTimeout = (task, time, ...rest) => wait(task, time === 1000 ? 60_000 : time, ...rest);"
"""The page waits for its service worker as long as it takes; the cores may be busy."""

PARTS = 224 * 224
"""Pixels of the largest part of a picture in these tests: small pictures go through in several."""


class Handler(SimpleHTTPRequestHandler):
    """Files, with every path that was asked for; `delays`: seconds of the next requests of a path."""

    def __init__(
        self, *arguments: Any, asked: list[str], headers_too: dict[str, str], delays: dict[str, list[float]], **settings: Any
    ) -> None:
        self.asked, self.headers_too, self.delays = asked, headers_too, delays
        super().__init__(*arguments, **settings)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.delays.get(self.path):
            sleep(self.delays[self.path].pop(0))
        with suppress(BrokenPipeError, ConnectionResetError):  # the browser no longer waits
            super().do_GET()

    def end_headers(self) -> None:
        for name, value in self.headers_too.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(
    folder: Path, headers: dict[str, str] | None = None, delays: dict[str, list[float]] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """The address of a folder's file server, and the list of what was asked for there."""
    asked: list[str] = []
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(folder), asked=asked, headers_too=headers or {}, delays=delays or {})
    )
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = pytest.importorskip("playwright.sync_api", reason="playwright, which drives the browser, is not installed")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no Chromium at {CHROMIUM}; install Debian's package chromium")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def modules(browser: Any) -> Iterator[Any]:
    """A page that can import the modules, without a model."""
    with serving(SOURCES) as (address, _):
        page = browser.new_page()
        page.goto(f"{address}/style.css")
        yield page
        page.close()


@pytest.fixture(scope="module")
def archive() -> Path:
    try:
        return web.runtime_archive()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def site(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the bundled model."""
    return export_model("bundled", "web", tmp_path_factory.mktemp("web") / "page", runtime=archive).path


@pytest.fixture(scope="module")
def python(site: Path) -> Predictor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        return pellucid.load(site / "model.onnx")


@pytest.fixture(scope="module")
def opened(site: Path, browser: Any) -> Iterator[tuple[Any, str, list[str], list[str]]]:
    """The page, its address, the addresses of all requests, and what went wrong in its scripts."""
    with serving(site) as (address, _):
        context = browser.new_context(accept_downloads=True)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        requests, failures = list[str](), list[str]()
        context.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda message: failures.append(message.text) if message.type == "error" else None)
        page.add_init_script(PATIENT)
        page.goto(f"{address}/?compute=wasm&pixels={PARTS}")
        page.wait_for_selector("body.ready")
        yield page, address, requests, failures
        context.close()


def pixels(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Coarse blocks with noise: something to restore."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).repeat(8, 0).repeat(8, 1)[:height, :width]
    return (blocks + random.normal(0, 12, blocks.shape)).clip(0, 255).astype(np.uint8)


def threads(page: Any) -> str:
    """As the page states them, if it may have them."""
    assert page.evaluate("crossOriginIsolated")
    number = min(int(page.evaluate("navigator.hardwareConcurrency")), 8)
    return f"{number} thread{'s' if number > 1 else ''}"


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def constants(text: str) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in re.findall(r"export const ([A-Z_]+) = ([^;]+);", text)}


def test_the_rules_are_those_of_the_predictor() -> None:
    assert constants((SOURCES / "rules.js").read_text()) == {
        "SMALLEST": SMALLEST,
        "MAX_SIZE_RATIO": overview.MAX_SIZE_RATIO,
        "MAX_ASPECT": overview.MAX_ASPECT,
        "BLOCK": gate.BLOCK,
        "UNBOUNDED": tiling.UNBOUNDED,
        "BAND": tiling.BAND,
        "SCHEMA": schema.VERSION,
        "EXPORT_FORMAT": exported.EXPORT_FORMAT,
        "DEPTHS": list(picture_module.DEPTHS),
        "MIN_SPAN": picture_module.MIN_SPAN,
    }


SCALED = [(65, 65), (128, 128), (96, 160), (200, 131), (70, 1000), (1000, 7), (9, 80), (3, 300), (33, 97), (640, 64), (1, 200)]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_are_scaled_as_by_the_predictor(modules: Any, dtype: type) -> None:
    for height, width in SCALED:
        picture = pixels(height, width, seed=height).astype(dtype) * (257 if dtype == np.uint16 else 1)
        expected = scale_down(picture[None], 32)[0]
        found = modules.evaluate(
            """async ([height, width, values, white]) => {
              const { resize, scaledSize } = await import("/resize.js");
              const pixels = (white === 255 ? Uint8Array : Uint16Array).from(values);
              const scaled = resize({ height, width, white, pixels }, ...scaledSize(height, width, 32));
              return [scaled.height, scaled.width, [...scaled.pixels]];
            }""",
            [height, width, picture.ravel().tolist(), int(np.iinfo(dtype).max)],
        )
        assert found[:2] == list(expected.shape[:2])
        assert np.abs(np.array(found[2]) - expected.ravel().astype(int)).max() <= (0 if dtype == np.uint8 else 1), (height, width)


@pytest.mark.parametrize(("reach", "multiple", "most"), [(40, 4, 90_000), (None, 8, 1_000), (13, 1, 40_000)])
def test_tiles_are_those_of_the_predictor(modules: Any, reach: int | None, multiple: int, most: int) -> None:
    for length in (100, 301, 517, 2000):
        expected = build_tiling(reach, multiple, most).spans(length)
        found = modules.evaluate(
            """async ([reach, multiple, most, length]) => {
              const { buildTiling, spans } = await import("/tiling.js");
              return spans(buildTiling(reach, multiple, most), length).map(({ start, stop, weights }) => [start, stop, [...weights]]);
            }""",
            [reach, multiple, most, length],
        )
        assert [tuple(each[:2]) for each in found] == [(span.start, span.stop) for span in expected]
        for (_, _, weights), span in zip(found, expected, strict=True):
            assert np.abs(np.array(weights) - span.weights).max() < 1e-6


def test_a_browser_that_changes_pixels_is_told(modules: Any) -> None:
    jpeg = io.BytesIO()
    Image.fromarray(pixels(20, 30)).save(jpeg, "JPEG")
    told = modules.evaluate(
        """async (values) => {
          const { decode } = await import("/pictures.js?a-module-of-its-own");
          const drawing = OffscreenCanvasRenderingContext2D.prototype;
          const read = drawing.getImageData;
          drawing.getImageData = function (...part) {
            const image = read.apply(this, part);
            image.data[40] ^= 1;
            return image;
          };
          try {
            await decode(new Blob([Uint8Array.from(values)]), "a.jpg");
          } catch (error) {
            return [error.code, error.message];
          } finally {
            drawing.getImageData = read;
          }
        }""",
        list(jpeg.getvalue()),
    )
    assert told[0] == "unreadable"
    assert "changes them against tracking" in told[1]


def test_webassembly_goes_on_where_webgpu_fails(modules: Any) -> None:
    results = modules.evaluate(
        """async () => {
          const { withFallback } = await import("/engine.js");
          const calls = [];
          const run = (name, fails) => async (...image) => {
            calls.push(`${name} ${image}`);
            if (fails()) throw new Error("the device is lost");
            return name;
          };
          let lost = false;
          const engine = { engine: "webgpu", stated: "WebGPU", run: run("webgpu", () => lost) };
          const told = [];
          const other = { run: run("wasm", () => false), stated: "WebAssembly" };
          const both = withFallback(engine, async () => other, ({ stated }) => told.push(stated));
          const outputs = [await both.run(1, 2, 3)];
          lost = true;
          outputs.push(await both.run(4, 5, 6), await both.run(7, 8, 9));
          return [both.engine, outputs, calls, told];
        }"""
    )
    assert results == [
        "webgpu",
        ["webgpu", "wasm", "wasm"],
        ["webgpu 1,2,3", "webgpu 4,5,6", "wasm 4,5,6", "wasm 7,8,9"],
        ["WebAssembly"],
    ]


def deep_png(values: NDArray[np.uint16]) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", values)[1])


def raw_png(values: NDArray[Any], kind: int, clear: bytes = b"", interlaced: bool = False) -> bytes:
    """Without filters; kind: 0 is grey, 2 RGB, 4 grey and alpha; clear: the chunk of the transparent colour; interlaced: by Adam7."""
    passes = (
        [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)] if interlaced else [(0, 0, 1, 1)]
    )
    lines = b"".join(b"\0" + row.tobytes() for x, y, dx, dy in passes for row in values[y::dy, x::dx] if row.size)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 8 * values.itemsize, kind, 0, 0, interlaced)
    parts = [chunk(b"IHDR", header), chunk(b"tRNS", clear) if clear else b"", chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_files() -> dict[str, bytes]:
    image = Image.fromarray(pixels(21, 35))
    clear = Image.fromarray(np.dstack([pixels(21, 35), pixels(21, 35, 1)[..., 0] & 0xC0]))
    described = PngImagePlugin.PngInfo()
    described.add_text("Title", "a chunk to pass over")
    ramp = np.arange(21 * 35, dtype=np.uint16).reshape(21, 35)
    turned = {number: Image.Exif() for number in range(2, 9)}
    for number, exif in turned.items():
        exif[0x0112] = number
    return {
        "RGB": encoded(image, pnginfo=described, dpi=(300, 300)),
        "RGBA": encoded(clear),
        "grey": encoded(image.convert("L")),
        "grey and alpha": encoded(clear.convert("LA")),
        "palette": encoded(image.quantize(50)),
        "palette of 4 bits": encoded(image.quantize(9), bits=4),
        "palette with alpha": encoded(image.quantize(50), transparency=3),
        "RGB with a clear colour": encoded(image, transparency=image.getpixel((3, 4))),
        "one bit": encoded(image.convert("1")),
        "grey of 16 bits": deep_png(ramp * 89),
        "grey of 12 bits": deep_png(ramp * 5),
        "narrow grey of 16 bits": deep_png(ramp + 32768),
        "RGB of 16 bits": deep_png(np.dstack([ramp * 89, ramp, ramp * 33])),
        "RGBA of 16 bits": deep_png(np.dstack([ramp * 89, ramp, ramp * 33, ramp * 80])),
        **{f"orientation {number}": encoded(image, exif=exif, dpi=(300, 200)) for number, exif in turned.items()},
        "alpha, turned": encoded(clear, exif=turned[6]),
        "grey of 16 bits with a clear value": raw_png((ramp * 89).astype(">u2"), 0, struct.pack(">H", 89 * 300)),
        "narrow grey and alpha of 16 bits": raw_png(np.dstack([ramp + 32768, ramp * 80 + 1]).astype(">u2"), 4),
        "RGB of 16 bits with a clear colour": raw_png(
            np.dstack([ramp * 89, ramp, ramp * 33]).astype(">u2"), 2, struct.pack(">3H", 89 * 300, 300, 33 * 300)
        ),
        "interlaced": raw_png(pixels(21, 35), 2, interlaced=True),
        "interlaced, tiny": raw_png(pixels(1, 3), 2, interlaced=True),
    }


PNGS = png_files()


@pytest.mark.parametrize("kind", PNGS)
def test_png_files_are_read_and_written_as_by_pellucid(modules: Any, kind: str) -> None:
    expected = pictures.decode_picture(io.BytesIO(PNGS[kind]), kind)
    found = modules.evaluate(
        """async (text) => {
          const { decode, encode } = await import("/pictures.js");
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          const picture = await decode(new Blob([bytes]), "x.png");
          const written = new Uint8Array(await (await encode(picture, picture.pixels)).arrayBuffer());
          const list = (values) => values && [...values];
          const [pixels, alpha] = [list(picture.pixels), list(picture.alpha)];
          return { ...picture, pixels, alpha, profile: null, dots: null, written: list(written) };
        }""",
        base64.b64encode(PNGS[kind]).decode(),
    )
    assert (found["height"], found["width"]) == expected.pixels.shape[:2]
    assert found["white"] == np.iinfo(expected.pixels.dtype).max
    assert found["grey"] == expected.grey
    assert (found["pixels"] == expected.pixels.ravel()).all()
    assert (found["alpha"] is None) == (expected.alpha is None)
    assert expected.alpha is None or (found["alpha"] == expected.alpha.ravel()).all()
    assert found["window"] == (None if expected.window is None else list(expected.window))
    assert found["notes"] == list(expected.notes)
    again = pictures.decode_picture(io.BytesIO(bytes(found["written"])), kind)
    assert (again.pixels == expected.pixels).all()
    assert (again.grey, again.window) == (expected.grey, expected.window)
    assert again.dpi == pytest.approx(expected.dpi)
    assert again.alpha is None or (again.alpha == expected.alpha).all()


def drop(page: Any, name: str, content: bytes) -> None:
    """Drop a file on the page."""
    transfer = page.evaluate_handle(
        """([name, text]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))], name));
          return transfer;
        }""",
        [name, base64.b64encode(content).decode()],
    )
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})


def settled(page: Any) -> str:
    """Wait for a result or an error; returns the error."""
    page.wait_for_selector("#savejson:visible, #error:visible")
    error = page.locator("#error")
    return str(error.inner_text()) if error.is_visible() else ""


def download(page: Any, link: str) -> bytes:
    with page.expect_download() as downloading:
        page.locator(link).click()
    return Path(downloading.value.path()).read_bytes()


FILES = {
    "square.png": encoded(Image.fromarray(pixels(32, 32))),
    "odd.png": encoded(Image.fromarray(pixels(33, 47))),
    "grey.png": encoded(Image.fromarray(pixels(40, 52)).convert("L")),
    "clear.png": encoded(Image.fromarray(np.dstack([pixels(50, 66), pixels(50, 66, 1)[..., 0] & 0xC0]))),
    "deep.png": deep_png(pixels(45, 100)[..., 0].astype(np.uint16) * 16),
    "scan.jpg": encoded(Image.fromarray(pixels(90, 131)), "JPEG", quality=90),
    "tiny.webp": encoded(Image.fromarray(pixels(5, 3)), "WEBP", lossless=True),
    "whole.png": encoded(Image.fromarray(example_pictures()[8])),  # undamaged: left as they are
    "flat.png": encoded(Image.new("RGB", (90, 70), (120, 90, 60))),
    "tiles.png": encoded(Image.fromarray(pixels(226, 232))),
}


@pytest.mark.parametrize("name", FILES)
def test_predictions_are_those_of_python(opened: tuple[Any, ...], python: Predictor, name: str) -> None:
    page, *_ = opened
    drop(page, name, FILES[name])
    assert settled(page) == ""
    picture = pictures.decode_picture(io.BytesIO(FILES[name]), name)
    [expected] = python.predict([picture.pixels])
    line = json.loads(download(page, "#savejson"))
    jsonschema.validate(line, schema.schema())
    assert line["path"] == name
    assert line["label"] == expected.label == page.locator("#label").inner_text()
    assert line["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
    assert expected.damage is not None
    assert line["damage"].keys() == expected.damage.keys()
    for kind, each in expected.damage.items():
        found = line["damage"][kind]
        assert found["unit"] == each["unit"]
        assert [found["probability"], found["strength"]] == pytest.approx([each["probability"], each["strength"]], abs=1e-3, rel=1e-3)
    assert expected.mask is not None
    assert line["lost"] == pytest.approx(expected.mask.mean(), abs=2e-3)
    assert line["left"] == expected.left
    restored = pictures.decode_picture(io.BytesIO(download(page, "#savepng")), line["restored"])
    assert expected.restored is not None
    assert restored.pixels.dtype == expected.restored.dtype
    assert restored.grey == picture.grey
    step = 1 if restored.pixels.dtype == np.uint8 else 257
    seen = np.ones(picture.pixels.shape[:2], np.bool_)
    if picture.alpha is not None:
        assert restored.alpha is not None
        assert (restored.alpha == picture.alpha).all()
        seen = picture.alpha > 0  # the rest is read as white
    assert np.abs(restored.pixels.astype(int) - expected.restored)[seen].max() <= step
    if line["mask"]:
        mask = Image.open(io.BytesIO(base64.b64decode(line["mask"].partition(",")[2])))
        assert (np.asarray(mask) > 0).mean() == pytest.approx(line["lost"], abs=1e-5)


BAD = {
    "text.png": (b"no picture", r"Expected a picture \(.*\) in text.png, found nothing that this browser can read as one"),
    "empty.png": (b"", "in empty.png, found an empty file"),
    "cut.png": (FILES["odd.png"][:-400], "Expected a whole PNG in cut.png, found one that is cut short or damaged"),
    "flipped.png": (FILES["odd.png"][:300] + b"\xff\0" + FILES["odd.png"][302:], "Expected a whole PNG in flipped.png"),
    "cut.jpg": (FILES["scan.jpg"][:200], "Expected a whole JPEG in cut.jpg, found one that is cut short or damaged"),
    "huge.png": (
        FILES["odd.png"][:16] + struct.pack(">II", 100_000, 90_000) + FILES["odd.png"][24:],
        "Expected at most 64,000,000 pixels in huge.png, found 100,000 x 90,000",
    ),
    "scan.tif": (
        encoded(Image.fromarray(pixels(8, 8)), "TIFF"),
        "in scan.tif, found nothing that this browser can read as one; convert it",
    ),
    "<b>bold</b>.png": (b"no picture", "in <b>bold</b>.png"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_sentence(opened: tuple[Any, ...], name: str) -> None:
    page, *_ = opened
    content, words = BAD[name]
    drop(page, name, content)
    told = settled(page)
    assert re.search(words, told)
    assert told.count("Expected") == 1
    assert page.locator("#result").is_hidden()
    drop(page, "square.png", FILES["square.png"])  # the page goes on
    assert settled(page) == ""


@pytest.mark.parametrize("name", bad_files.BAD)
def test_what_the_api_refuses_is_refused_here_too(opened: tuple[Any, ...], name: str) -> None:
    page, *_ = opened
    drop(page, name, bad_files.BAD[name])
    told = settled(page)
    assert re.fullmatch(rf"Expected .+ in {re.escape(name)}, found .+; .+", told), told
    assert told.count("Expected") == 1


@pytest.mark.parametrize("name", bad_files.ODD)
def test_unusual_files_are_taken(opened: tuple[Any, ...], name: str) -> None:
    page, *_ = opened
    drop(page, name, bad_files.ODD[name])
    assert settled(page) == ""
    expected = pictures.decode_picture(io.BytesIO(bad_files.ODD[name]), name)
    line = json.loads(download(page, "#savejson"))
    assert line["path"] == name
    assert line["notes"] == list(expected.notes)
    assert page.locator("#after").evaluate("canvas => [canvas.height, canvas.width]") == list(expected.pixels.shape[:2])


def test_the_page_stays_alive_and_can_be_stopped(opened: tuple[Any, ...]) -> None:
    page, *_ = opened
    page.evaluate(
        """() => {
          window.gaps = [];
          window.shares = new Set();
          let before = performance.now();
          window.ticking = setInterval(() => {
            const now = performance.now();
            gaps.push(now - before);
            before = now;
            shares.add(document.querySelector("#bar").style.getPropertyValue("--done"));
          }, 20);
        }"""
    )
    drop(page, "large.png", encoded(Image.fromarray(pixels(50, 52).repeat(20, 0).repeat(20, 1))))  # a small file: dropping it takes no time
    page.wait_for_selector("#before:visible")
    page.get_by_text(re.compile(r"part ([2-9]|\d\d)")).wait_for()
    page.locator("#stop").click()
    page.wait_for_selector("#work", state="hidden")
    assert page.locator("#result").is_hidden()
    gaps, shares = page.evaluate("clearInterval(ticking), [gaps, shares.size]")
    assert np.quantile(gaps, 0.95) < 200
    assert max(gaps) < 1000
    assert shares > 2
    drop(page, "square.png", FILES["square.png"])
    assert settled(page) == ""


def test_the_last_picture_counts(opened: tuple[Any, ...]) -> None:
    page, *_ = opened
    for name in ("tiles.png", "odd.png", "square.png"):
        drop(page, name, FILES[name])
    page.get_by_text("square.png: 32 x 32").wait_for()


def test_no_request_leaves_and_none_can(opened: tuple[Any, ...]) -> None:
    page, address, requests, failures = opened
    page.locator("#examples button").first.click()
    page.get_by_text("airplane.png: 32 x 32").wait_for()
    assert page.locator("#label").inner_text() == "airplane"
    assert failures == []
    hosts = {url.split("/")[2] if url.startswith("http") else url.partition(":")[0] for url in requests}
    assert hosts <= {address.removeprefix("http://"), "blob"}
    assert f"WebAssembly with SIMD, {threads(page)}, float32" in page.locator("#computed").inner_text()
    with serving(SOURCES) as (elsewhere, asked):
        for attempt in (
            f"fetch('{elsewhere}/style.css').then(() => 'connected', () => 'refused')",
            f"fetch('{elsewhere}/style.css', {{mode: 'no-cors'}}).then(() => 'connected', () => 'refused')",
            f"import('{elsewhere}/rules.js').then(() => 'connected', () => 'refused')",
        ):
            assert page.evaluate(attempt) == "refused"
            assert page.workers[0].evaluate(attempt) == "refused"
        assert page.evaluate(f"navigator.sendBeacon('{elsewhere}/beacon', 'x'), document.images.length") >= 1
        page.evaluate(f"new Promise((done) => {{ const i = new Image(); i.onload = i.onerror = done; i.src = '{elsewhere}/icon.svg'; }})")
        theirs = elsewhere.replace("http", "ws")
        opening = f"const socket = new WebSocket('{theirs}'); socket.onerror = socket.onopen = done"
        socket = f"new Promise((done) => {{ try {{ {opening} }} catch {{ done() }} }})"
        page.evaluate(socket)
        page.workers[0].evaluate(socket)
        assert asked == []


HEADERS = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
ONE_THREAD = "WebAssembly with SIMD, 1 thread, float32"


@contextmanager
def visiting(browser: Any, script: str = PATIENT) -> Iterator[tuple[Any, list[str], list[str]]]:
    """A page of a new visitor, what went wrong in its scripts, and the addresses that it loaded."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(WAIT)
    failures = list[str]()
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("console", lambda message: failures.append(message.text) if message.type == "error" else None)
    page.add_init_script(script)
    loaded = list[str]()
    page.on("domcontentloaded", lambda page: loaded.append(page.url))
    yield page, failures, loaded
    context.close()


def visit(page: Any, address: str) -> str:
    """Open the page; returns what it says that computes."""
    page.goto(address)
    page.wait_for_selector("body.ready")
    return str(page.locator("#computed").inner_text())


def registrations(page: Any) -> int:
    return int(page.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)"))


def test_any_file_server_gives_threads_after_one_reload(site: Path, browser: Any, python: Predictor) -> None:
    with serving(site.parent) as (address, asked), visiting(browser) as (page, failures, loaded):
        folder = f"{address}/{site.name}/"
        stated = visit(page, f"{folder}?compute=wasm#top")
        assert f"WebAssembly with SIMD, {threads(page)}, float32" in stated
        assert page.url == f"{folder}?compute=wasm#top"
        assert len(loaded) == 2
        assert page.evaluate("navigator.serviceWorker.ready.then(({ scope }) => scope)") == folder
        drop(page, "odd.png", FILES["odd.png"])
        assert settled(page) == ""
        [expected] = python.predict([pixels(33, 47)])
        assert json.loads(download(page, "#savejson"))["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
        visit(page, f"{folder}?compute=wasm")
        assert len(loaded) == 3
        assert ONE_THREAD in visit(page, f"{folder}?compute=wasm&threads=1")
        assert {path.partition("?")[0] for path in asked} <= {f"/{each.relative_to(site.parent)}" for each in site.rglob("*")} | {
            f"/{site.name}/"
        }
        assert page.evaluate("fetch('./none').then(({ status }) => status)") == 404
        page.goto(f"{folder}none")
        assert "404" in page.content()
        assert not page.evaluate("crossOriginIsolated")
        assert all("404" in each for each in failures)


def test_nothing_is_registered_where_the_server_sends_the_headers(site: Path, browser: Any) -> None:
    with serving(site, HEADERS) as (address, asked), visiting(browser) as (page, failures, loaded):
        stated = visit(page, f"{address}/?compute=wasm")
        assert f"WebAssembly with SIMD, {threads(page)}, float32" in stated
        assert (registrations(page), len(loaded), asked.count("/isolate.js"), failures) == (0, 1, 0, [])


REFUSALS = {
    "missing": "Object.defineProperty(Navigator.prototype, 'serviceWorker', { value: undefined })",
    "refused": "navigator.serviceWorker.register = () => Promise.reject(new DOMException('no', 'SecurityError'))",
    "throws": "Object.defineProperty(Navigator.prototype, 'serviceWorker', { get() { throw new DOMException('no', 'SecurityError') } })",
    "no storage": PATIENT
    + "; Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('no', 'SecurityError') } })",
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_without_service_workers_there_is_one_thread(site: Path, browser: Any, python: Predictor, kind: str) -> None:
    with serving(site) as (address, _), visiting(browser, REFUSALS[kind]) as (page, failures, loaded):
        assert ONE_THREAD in visit(page, f"{address}/?compute=wasm")
        drop(page, "odd.png", FILES["odd.png"])
        assert settled(page) == ""
        [expected] = python.predict([pixels(33, 47)])
        assert json.loads(download(page, "#savejson"))["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)
        assert (len(loaded), failures) == (1, [])


def test_headers_for_the_page_alone_give_one_thread(site: Path, browser: Any) -> None:
    with serving(site) as (address, _), visiting(browser) as (page, _, _):
        page.route("**/?*", lambda route: route.fulfill(response=(answer := route.fetch()), headers=answer.headers | HEADERS))
        assert ONE_THREAD in visit(page, f"{address}/?compute=wasm")
        assert page.evaluate("crossOriginIsolated")


def test_the_page_is_reloaded_only_once(site: Path, browser: Any) -> None:
    never = f"{PATIENT}; Object.defineProperty(window, 'crossOriginIsolated', {{ value: false }})"
    with serving(site) as (address, _), visiting(browser, never) as (page, failures, loaded):
        visit(page, f"{address}/?compute=wasm")
        visit(page, f"{address}/?compute=wasm")
        page.wait_for_timeout(1500)
        assert (len(loaded), failures) == (3, [])


def test_threads_come_at_the_next_visit_if_the_service_worker_is_late(site: Path, browser: Any) -> None:
    with serving(site, delays={"/isolate.js": [3]}) as (address, _), visiting(browser, "") as (page, failures, loaded):
        assert ONE_THREAD in visit(page, f"{address}/?compute=wasm")
        page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        stated = visit(page, f"{address}/?compute=wasm")
        assert f"WebAssembly with SIMD, {threads(page)}, float32" in stated
        assert (len(loaded), failures) == (2, [])


DROPPED = """
  const drop = async () => {
    const transfer = new DataTransfer();
    const image = Uint8Array.from(atob("PICTURE"), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([image], "odd.png"));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
  };
  addEventListener(WHEN, () => wait(drop, 500), { once: true });
""".replace("PICTURE", base64.b64encode(FILES["odd.png"]).decode())


@pytest.mark.parametrize(("when", "path"), [("load", "/isolate.js"), ("beforeunload", "/?compute=wasm")])
def test_a_picture_is_never_lost_by_the_reload(site: Path, browser: Any, when: str, path: str) -> None:
    delays: dict[str, list[float]] = {path: [4] if path == "/isolate.js" else [0, 4]}
    script = f"{PATIENT} {DROPPED.replace('WHEN', json.dumps(when))}"
    with serving(site, delays=delays) as (address, asked), visiting(browser, script) as (page, failures, loaded):
        page.goto(f"{address}/?compute=wasm")
        assert settled(page) == ""
        page.wait_for_timeout(5000)
        assert page.locator("#result").is_visible()
        assert ONE_THREAD in page.locator("#computed").inner_text()
        assert (len(loaded), failures) == (1, [])
        assert asked.count("/?compute=wasm") == (1 if when == "load" else 2)


def test_a_changed_page_is_shown_and_another_page_is_left_as_it_is(site: Path, browser: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(site, tmp_path / "page")
    index = folder / "index.html"
    with serving(folder) as (address, _), visiting(browser) as (page, failures, _):
        visit(page, f"{address}/?compute=wasm")
        assert page.evaluate("crossOriginIsolated")
        index.write_text(index.read_text().replace("<h1>Pellucid</h1>", "<h1>Changed</h1>"))
        page.reload()
        assert page.locator("h1").inner_text() == "Changed"
        assert page.evaluate("crossOriginIsolated")
        (folder / "other.html").write_text("<h1>Other</h1>")
        page.goto(f"{address}/other.html")
        assert (page.locator("h1").inner_text(), page.evaluate("crossOriginIsolated"), registrations(page)) == ("Other", False, 1)
        index.write_text("<h1>Another</h1>")
        page.goto(address)
        assert (page.locator("h1").inner_text(), page.evaluate("crossOriginIsolated"), registrations(page)) == ("Another", False, 0)
        assert all("404" in each for each in failures)  # of the other pages' icons


@pytest.mark.parametrize(("width", "height", "scheme"), [(1200, 1000, "light"), (375, 812, "dark")])
def test_the_page_fits_a_screen_and_a_phone(site: Path, browser: Any, width: int, height: int, scheme: Any, tmp_path: Path) -> None:
    with serving(site) as (address, _):
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        page.set_default_timeout(WAIT)
        page.goto(address)
        page.locator("#examples button").nth(8).click()
        page.wait_for_selector("#savepng:visible")
        assert page.locator("#label").inner_text() == "ship"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator("#position").focus()
        page.keyboard.press("ArrowRight")
        assert page.locator("#position").input_value() == "51"
        page.locator("#position").fill("20")
        assert page.evaluate("document.querySelector('#stage').style.getPropertyValue('--at')") == "20%"
        page.get_by_text("Side by side").click()
        boxes = [page.locator(f"#{name}").bounding_box() for name in ("before", "after")]
        assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
        page.get_by_text("Slider").click()
        page.locator("#position").fill("50")
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        if "PELLUCID_SCREENSHOTS" in os.environ:
            shutil.copy(tmp_path / "page.png", Path(os.environ["PELLUCID_SCREENSHOTS"]) / f"web-{width}.png")
        page.close()


@pytest.mark.parametrize("tasks", ["classify", "restore"])
def test_a_model_of_one_task_shows_what_it_has(tasks: Any, archive: Path, browser: Any, tmp_path: Path) -> None:
    model = saved(tmp_path / "model", ModelConfig(tasks=tasks, encoder=EncoderConfig(widths=(8, 16), depths=(1, 1))))
    page_folder = export_model(model, "web", tmp_path / "page", runtime=archive).path
    with serving(page_folder) as (address, _):
        page = browser.new_page()
        page.set_default_timeout(WAIT)
        page.goto(f"{address}/?compute=wasm")
        page.wait_for_selector("body.ready")
        drop(page, "odd.png", FILES["odd.png"])
        assert settled(page) == ""
        assert page.locator("#classes").is_visible() == (tasks == "classify")
        assert page.locator("#savepng").is_visible() == page.locator("#after").is_visible() == (tasks == "restore")
        assert page.locator("#damages").is_hidden()
        [expected] = pellucid.load(page_folder / "model.onnx").predict([pixels(33, 47)])
        assert json.loads(download(page, "#savejson")).get("unfamiliar") == expected.unfamiliar
        assert ("unlike the training pictures" in page.locator("#confidence").inner_text()) == bool(expected.unfamiliar)
        assert page.locator("#examples button").count() == 1  # it doesn't know the classes of the others
        page.close()


@pytest.mark.parametrize("least", [None, 3.0])
def test_pictures_unlike_the_training_pictures_are_those_of_the_predictor(modules: Any, least: float | None) -> None:
    logits = np.random.default_rng(0).normal(0, 2, (50, 4)).astype(np.float32)
    found = modules.evaluate(
        """async ([logits, least_evidence]) => {
          const { Predictor } = await import("/predictor.js");
          const predictor = new Predictor({ reach: 4, multiple: 4, max_pixels: 1e6, least_evidence }, null, 1e6);
          return logits.map((each) => predictor.unfamiliar(Float32Array.from(each)));
        }""",
        [logits.tolist(), least],
    )
    assert found == [None if least is None else evidence < least for evidence in evidence_of(logits)]
    assert len(set(found)) == (1 if least is None else 2)


@pytest.mark.parametrize("output", ["restored", "logits"])
def test_an_output_that_is_not_finite_is_no_prediction(modules: Any, output: str) -> None:
    told = modules.evaluate(
        """async (output) => {
          const { Predictor } = await import("/predictor.js");
          const metadata = { reach: 4, multiple: 4, size_multiple: 4, max_pixels: 1e6, image_size: 32, gate: null };
          const run = async (images, height, width) => {
            const outputs = { restored: { data: new Float32Array(3 * height * width) }, logits: { data: new Float32Array(2) } };
            outputs[output].data[1] = NaN;
            return outputs;
          };
          const picture = { height: 9, width: 7, white: 255, pixels: new Uint8Array(9 * 7 * 3) };
          return new Predictor(metadata, run, 1e6).predict(picture).then(() => null, ({ code, message }) => [code, message]);
        }""",
        output,
    )
    assert told == ["not_finite", lines.NOT_FINITE]


def test_a_folder_without_its_model_says_so(site: Path, browser: Any, tmp_path: Path) -> None:
    for change, words in ((None, "Expected the file model.onnx beside this page"), (b"no model", "Expected a whole ONNX model")):
        folder = tmp_path / words[:20]
        shutil.copytree(SOURCES, folder)
        if change:
            (folder / "model.onnx").write_bytes(change)
        with serving(folder) as (address, _):
            page = browser.new_page()
            page.goto(address)
            page.wait_for_selector("#error:visible")
            assert words in page.locator("#error").inner_text()
            page.close()


def test_after_its_scripts_failed_a_picture_does_not_wait(browser: Any, tmp_path: Path) -> None:
    shutil.copytree(SOURCES, tmp_path / "page")
    (tmp_path / "page" / "rules.js").unlink()
    with serving(tmp_path / "page", HEADERS) as (address, _):
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("#error:visible")
        drop(page, "square.png", FILES["square.png"])
        page.wait_for_selector("#error:visible")
        assert "Expected the page's scripts to run" in page.locator("#error").inner_text()
        assert not page.locator("#work").is_visible()
        page.close()


def swapped_profile() -> bytes:
    """sRGB with red and blue exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"-XYZ", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"-XYZ", b"bXYZ", 1)


@pytest.mark.parametrize(("profile", "converts", "kept"), [("swapped", False, True), ("swapped", True, False), ("sRGB", False, False)])
def test_a_profile_is_kept_unless_the_browser_has_applied_it(modules: Any, profile: str, converts: bool, kept: bool) -> None:
    content = swapped_profile() if profile == "swapped" else ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = encoded(Image.fromarray(pixels(40, 56)), "JPEG", icc_profile=content)
    found = modules.evaluate(
        """async ([text, converts]) => {
          const { decode } = await import("/pictures.js");
          const real = self.createImageBitmap;
          if (converts) self.createImageBitmap = (file, { colorSpaceConversion, ...options }) => real(file, options);
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          const { profile } = await decode(new Blob([bytes]), "x.jpg");
          self.createImageBitmap = real;
          return profile !== null;
        }""",
        [base64.b64encode(picture).decode(), converts],
    )
    assert found == kept


def test_too_little_memory_for_a_png_is_no_damage(modules: Any) -> None:
    code = modules.evaluate(
        """async (text) => {
          const { decode } = await import("/pictures.js");
          const Real = self.Uint16Array;
          self.Uint16Array = class { constructor() { throw new RangeError("Out of memory"); } };
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          return decode(new Blob([bytes]), "x.png").then(() => "", ({ code }) => code).finally(() => { self.Uint16Array = Real; });
        }""",
        base64.b64encode(FILES["deep.png"]).decode(),
    )
    assert code == "out_of_memory"


def test_a_page_is_replaced_and_other_folders_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export = ("export", "bundled", "--format", "web", "--out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert "--force" in mistake(capsys, *export, tmp_path / "full")
    assert "with other files" in mistake(capsys, *export, tmp_path / "full", "--force")
    (tmp_path / "full" / "x").unlink()
    for name in ("index.html", "model.onnx", "visitors.txt"):
        (tmp_path / "full" / name).touch()
    assert "with other files" in mistake(capsys, *export, tmp_path / "full", "--force")
    assert "leave the ending out" in mistake(capsys, *export, tmp_path / "page.onnx")
    (tmp_path / "other.tgz").write_bytes(b"another")
    assert "found another file" in mistake(capsys, *export, tmp_path / "page", "--runtime", tmp_path / "other.tgz")
    assert "found no file" in mistake(capsys, *export, tmp_path / "page", "--runtime", tmp_path)

    def unreachable(*_: object) -> None:
        raise UnavailableError("nothing (no network)")

    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(web, "npm_archive", unreachable)
    told = mistake(capsys, *export, tmp_path / "page")
    assert told.startswith(f"pellucid: Expected {web.PACKAGE} from npm, found nothing (no network); connect to a network, or give")
    assert told.count("\n") == 1
    assert not (tmp_path / "page").exists()


def test_an_archive_with_another_hash_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(_: str, place: Path) -> Path:
        (place / "x.tgz").write_bytes(b"another")
        return place / "x.tgz"

    monkeypatch.setenv("PELLUCID_HOME", str(tmp_path))
    monkeypatch.setattr(web, "npm_archive", other)
    with pytest.raises(UserError, match="found an archive with another hash"):
        web.runtime_archive()
    assert not any(tmp_path.rglob("*.tgz"))
