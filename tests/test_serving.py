"""The API: what it answers, what it refuses, and that nothing of a request is confused, lost or kept."""

import asyncio
import base64
import io
import json
import tracemalloc
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bad_files
import httpx2
import jsonschema
import numpy as np
import pytest
import servers
import torch
from bad_files import bomb
from numpy.typing import NDArray
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from servers import Slow, decoded, encoded, picture, png, predictor, service, serving

from pellucid.errors import UserError
from pellucid.inference import Prediction
from pellucid.inference.backend import MirroredBackend
from pellucid.inference.cores import num_batches, predict_on_cores
from pellucid.inference.lines import prediction_fields
from pellucid.inference.schema import schema
from pellucid.pictures import Pixels, load, write
from pellucid.pictures.picture import Picture
from pellucid.serving.batching import Batcher
from pellucid.serving.refusal import CODES, Refusal
from pellucid.serving.serve import listen
from pellucid.serving.service import Service
from pellucid.serving.settings import Limits, ServerSettings, is_loopback

SMALL = {"max_bytes": 300_000, "max_pixels": 40_000, "max_pictures": 3}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx2.Client]:
    with serving(service(**SMALL)) as client:
        yield client


def error(response: httpx2.Response) -> str:
    """The code of a refusal, its form checked."""
    body = response.json()
    jsonschema.validate(body, schema())
    assert body.keys() == {"schema", "error"}
    assert body["error"].keys() - {"index"} == {"code", "message"}
    message = body["error"]["message"]
    assert message.startswith("Expected ")
    assert "found" in message or body["error"]["code"] == "internal"
    assert len(message) < 500
    assert response.status_code == CODES[body["error"]["code"]][0]
    return str(body["error"]["code"])


def unpacked(url: str) -> bytes:
    """The content of a data URL of a PNG."""
    assert url.startswith("data:image/png;base64,")
    return base64.b64decode(url.partition(",")[2])


def post(client: httpx2.Client, content: bytes, kind: str = "image/png", **query: Any) -> httpx2.Response:
    return client.post("/v1/predict", content=content, headers={"Content-Type": kind}, params=query)


def test_a_prediction_is_a_line_of_predictions_jsonl(client: httpx2.Client) -> None:
    image = picture()
    [expected] = predictor().predict([image])
    for response in (
        post(client, png(image)),
        client.post("/v1/predict", files={"image": ("../../etc/passwd", png(image))}),
        client.post("/v1/predict", files=[("images", ("a", png(image)))]),
        client.post("/v1/predict", json={"image": base64.b64encode(png(image)).decode()}),
        client.post("/v1/predict", json={"images": ["data:image/png;base64," + base64.encodebytes(png(image)).decode()]}),
    ):
        assert response.status_code == 200, response.text
        [line] = response.json()["predictions"]
        jsonschema.validate(line, schema())
        fields = prediction_fields(expected)
        assert line.keys() == {*fields, "restored", "mask", "notes", "model", "mirror"}
        assert line["label"] == fields["label"]
        assert line["probabilities"] == pytest.approx(fields["probabilities"], abs=1e-4)
        assert line["damage"].keys() == fields["damage"].keys()
        assert (line["restored"], line["mask"], line["notes"], line["model"], line["mirror"]) == (None, None, [], "small", False)


def test_a_size_that_no_png_can_have_is_the_clients(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> bytes:
        raise ValueError("Expected a picture that PNG can hold.")

    monkeypatch.setattr("pellucid.serving.service.encode_png", refuse)
    assert error(post(client, png(picture()), restored="true")) == "too_many_pixels"
    assert post(client, png(picture())).status_code == 200


def test_restored_pictures_and_masks_come_when_asked_for(client: httpx2.Client) -> None:
    image = picture()
    [expected] = predictor().predict([image])
    [line] = post(client, png(image), restored="true", mask="true").json()["predictions"]
    jsonschema.validate(line, schema())
    restored = decoded(unpacked(line["restored"]))
    assert np.abs(restored.astype(int) - expected.restored).max() <= 1
    assert expected.mask is not None
    if expected.mask.any():
        assert (decoded(unpacked(line["mask"])) == 255 * expected.mask).mean() > 0.99
    else:
        assert line["mask"] is None


def test_deep_grey_and_transparent_pictures_keep_their_kind(client: httpx2.Client, tmp_path: Path) -> None:
    grey = Picture(np.repeat(np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16, 1), 3, axis=2), grey=True)
    deep = Picture(np.random.default_rng(0).integers(0, 65536, (16, 16, 3), np.uint16))
    alpha = Picture(picture(16, 16), alpha=np.full((16, 16), 128, np.uint8))
    for given in (grey, deep, alpha):
        write(tmp_path / "a.png", given)
        [line] = post(client, (tmp_path / "a.png").read_bytes(), restored="true").json()["predictions"]
        (tmp_path / "b.png").write_bytes(unpacked(line["restored"]))
        back = load(tmp_path / "b.png")
        assert (back.pixels.dtype, back.grey, back.alpha is None) == (given.pixels.dtype, given.grey, given.alpha is None)


def test_64_different_pictures_at_once_get_their_own_answers() -> None:
    images = [picture(8 + seed % 5, 9 + seed % 3, seed) for seed in range(64)]
    expected = predictor().predict(images)
    counted = service()
    with serving(counted) as client, ThreadPoolExecutor(64) as pool:
        responses = list(pool.map(lambda image: post(client, png(image), restored="true"), images))
        metrics = client.get("/metrics").text
    for response, prediction in zip(responses, expected, strict=True):
        [line] = response.json()["predictions"]
        assert line["label"] == prediction.label
        assert line["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-4)
        assert np.abs(decoded(unpacked(line["restored"])).astype(int) - prediction.restored).max() <= 1
    assert 'pellucid_requests_total{path="/v1/predict",status="200"} 64.0' in metrics
    assert "pellucid_batch_pictures_sum 64.0" in metrics
    assert "pellucid_in_flight 0.0" in metrics


JPEG = encoded(Image.fromarray(picture(40, 40)), "JPEG")
ANIMATION = encoded(Image.fromarray(picture()), "GIF", save_all=True, append_images=[Image.fromarray(picture(seed=1))])

GOOD = {
    "one pixel": (png(picture(1, 1)), []),
    "one row": (png(picture(1, 30)), []),
    "animation": (ANIMATION, ["first of 2 frames"]),
    "CMYK": (encoded(Image.fromarray(picture()).convert("CMYK"), "JPEG"), ["CMYK became RGB"]),
    "16 bits": (encoded(Image.fromarray(np.arange(65536, dtype=np.uint16)[::64].reshape(32, 32)), "PNG"), []),
    "alpha": (encoded(Image.fromarray(picture()).convert("RGBA"), "PNG"), []),
    "palette": (encoded(Image.fromarray(picture()).convert("P"), "PNG"), []),
    "one bit": (encoded(Image.fromarray(picture()).convert("1"), "PNG"), []),
}


@pytest.mark.parametrize("name", GOOD)
def test_unusual_pictures_are_taken(client: httpx2.Client, name: str) -> None:
    content, notes = GOOD[name]
    response = post(client, content, restored="true")
    assert response.status_code == 200, response.text
    assert response.json()["predictions"][0]["notes"] == notes


BAD = {
    "no bytes": (b"", "not_a_picture"),
    "text": (b"no picture", "not_a_picture"),
    "cut JPEG": (JPEG[: len(JPEG) // 2], "not_a_picture"),
    "cut PNG": (png()[:-40], "not_a_picture"),
    "head alone": (png()[:20], "not_a_picture"),
    "bomb": (bomb(), "too_many_pixels"),
    "too many pixels": (png(np.zeros((201, 200, 3), np.uint8)), "too_many_pixels"),
    "too many bytes": (bytes(300_001), "too_many_bytes"),
    "pickle": (b"\x80\x04\x95\x10", "not_a_picture"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>", "not_a_picture"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not_a_picture"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_is_refused_in_a_sentence(client: httpx2.Client, name: str) -> None:
    content, code = BAD[name]
    for response in (
        post(client, content),
        client.post("/v1/predict", files=[("image", ("a.png", content, "image/png"))]),
        client.post("/v1/predict", json={"image": base64.b64encode(content).decode()}),
    ):
        assert error(response) == code
    if code not in ("too_many_bytes",):
        response = client.post("/v1/predict", files=[("images", ("a.png", png())), ("images", ("b.png", content))])
        assert error(response) == code
        assert response.json()["error"]["index"] == 1


@pytest.mark.parametrize("name", bad_files.BAD)
def test_files_that_are_no_pictures_are_refused(client: httpx2.Client, name: str) -> None:
    content = bad_files.BAD[name]
    for response in (
        post(client, content),
        client.post("/v1/predict", files=[("image", (name, content))]),
        client.post("/v1/predict", json={"image": base64.b64encode(content).decode()}),
    ):
        assert error(response) in ("not_a_picture", "too_many_pixels")
        assert response.status_code in (413, 422)


@pytest.mark.parametrize("name", bad_files.ODD)
def test_unusual_files_are_taken(client: httpx2.Client, name: str) -> None:
    for response in (post(client, bad_files.ODD[name]), client.post("/v1/predict", files=[("image", (name, bad_files.ODD[name]))])):
        assert response.status_code == 200, response.text


FORM = "multipart/form-data; boundary=x"


def part(disposition: str, content: bytes) -> bytes:
    """A form of one part."""
    return f"--x\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n--x--\r\n"


BODIES: dict[str, tuple[bytes, str, str]] = {
    "no JSON": (b"{", "application/json", "bad_request"),
    "not UTF-8": (b'{"image": "\xff"}', "application/json", "bad_request"),
    "deep JSON": (b"[" * 100_000, "application/json", "bad_request"),
    "a list": (b"[]", "application/json", "invalid_request"),
    "null": (b"null", "application/json", "invalid_request"),
    "nothing": (b"{}", "application/json", "invalid_request"),
    "no pictures": (b'{"images": []}', "application/json", "invalid_request"),
    "a number": (b'{"image": 1}', "application/json", "invalid_request"),
    "no list": (b'{"images": "QQ=="}', "application/json", "invalid_request"),
    "unknown": (b'{"path": "/etc/passwd"}', "application/json", "invalid_request"),
    "no base64": (b'{"image": "@@@"}', "application/json", "invalid_base64"),
    "cut base64": (b'{"image": "QUJDR"}', "application/json", "invalid_base64"),
    "other letters": ('{"image": "é"}'.encode(), "application/json", "invalid_base64"),
    "too many": (json.dumps({"images": ["QQ=="] * 4}).encode(), "application/json", "too_many_pictures"),
    "no boundary": (b"--x--", "multipart/form-data", "bad_request"),
    "no form": (b"hello", "multipart/form-data; boundary=x", "bad_request"),
    "no parts": (b"--x--\r\n", "multipart/form-data; boundary=x", "invalid_request"),
    "text field":      (part('name="image"', b"hi"), FORM, "invalid_request"),
    "another field":   (part('name="a"; filename="b"', b"hi"), FORM, "invalid_request"),
    "charset":         (part('name="image"', b"\xff"), f"{FORM}; charset=nonsense", "invalid_request"),
    "text": (b"hello", "text/plain", "unsupported_type"),
    "no type": (b"hello", "", "unsupported_type"),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_make_no_sense_are_refused(client: httpx2.Client, name: str) -> None:
    content, kind, code = BODIES[name]
    assert error(post(client, content, kind)) == code


def test_too_many_files_are_refused(client: httpx2.Client) -> None:
    assert error(client.post("/v1/predict", files=[("images", ("a", png()))] * 4)) == "too_many_pictures"
    assert len(client.post("/v1/predict", files=[("images", ("a", png()))] * 3).json()["predictions"]) == 3


def test_a_body_without_a_length_is_bounded_too(client: httpx2.Client) -> None:
    response = client.post("/v1/predict", content=iter([bytes(100_000)] * 10), headers={"Content-Type": "image/png"})
    assert error(response) == "too_many_bytes"


def test_addresses_and_parameters(client: httpx2.Client) -> None:
    wrong_method = client.get("/v1/predict")
    assert (error(wrong_method), wrong_method.headers["Allow"]) == ("method_not_allowed", "POST")
    assert error(client.get("/v2/predict")) == "not_found"
    assert error(client.get("/../../etc/passwd")) == "not_found"
    assert error(post(client, png(), restored="perhaps")) == "invalid_request"
    assert client.get("/healthz").json() == {"status": "ok"}


def test_the_model_is_described(client: httpx2.Client) -> None:
    text = client.get("/v1/model").json()
    assert text["classes"] == list(servers.CLASSES)
    assert text["damages"] == ["gaussian_noise", "occlusion"]
    assert text["limits"]["max_pixels"] == SMALL["max_pixels"]
    assert text["engine"].startswith("torch")


def check_metrics(text: str) -> dict[str, float]:
    """Read Prometheus' text format; returns the samples without labels."""
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {name: family.type for name, family in families.items()} == {
        "pellucid_requests": "counter",
        "pellucid_request_seconds": "histogram",
        "pellucid_batch_pictures": "histogram",
        "pellucid_in_flight": "gauge",
    }
    samples = {sample.name: sample.value for family in families.values() for sample in family.samples if not sample.labels}
    for name, family in families.items():
        assert family.documentation
        assert all(sample.value >= 0 for sample in family.samples)
        if family.type == "histogram":
            buckets = [(float(each.labels["le"]), each.value) for each in family.samples if each.name.endswith("_bucket")]
            assert buckets == sorted(buckets)
            assert [value for _, value in buckets] == sorted(value for _, value in buckets)
            assert buckets[-1] == (float("inf"), samples[f"{name}_count"])
    return samples


def test_the_metrics_are_prometheus_text(client: httpx2.Client) -> None:
    assert post(client, png()).status_code == 200
    before = check_metrics(client.get("/metrics").text)
    assert post(client, b"no picture").status_code == 422
    assert client.post("/v1/predict", files=[("images", ("a", png()))] * 2).status_code == 200
    assert client.get('/"weird\\n{path="x"}').status_code == 404
    response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    after = check_metrics(response.text)
    assert after["pellucid_request_seconds_count"] - before["pellucid_request_seconds_count"] == 2
    assert after["pellucid_batch_pictures_sum"] - before["pellucid_batch_pictures_sum"] == 2
    assert after["pellucid_in_flight"] == 0


def test_the_documentation_is_whole_and_needs_no_other_host(client: httpx2.Client) -> None:
    document = client.get("/openapi.json").json()
    predict = document["paths"]["/v1/predict"]["post"]
    assert predict["requestBody"]["content"].keys() == {"multipart/form-data", "application/json", "image/png"}
    assert predict["responses"].keys() >= {"200", "401", "413", "415", "422", "429", "503", "504"}
    example = predict["requestBody"]["content"]["application/json"]["example"]
    prediction = client.post("/v1/predict", json=example).json()  # the example works
    documented = predict["responses"]["200"]["content"]["application/json"]["example"]
    assert prediction["predictions"][0].keys() == documented["predictions"][0].keys()
    page = client.get("/docs").text
    assert "/v1/predict" in page
    assert "<script" not in page
    assert "http" not in page.replace("https://json-schema.org", "")


def test_headers_forbid_other_hosts(client: httpx2.Client) -> None:
    for address in ("/docs", "/nothing", "/healthz"):
        headers = client.get(address).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


@pytest.mark.parametrize("token", ["correct horse", " correct horse\n"], ids=["plain", "from a file"])
def test_a_token_guards_everything_but_the_health(token: str) -> None:
    with serving(service(), token=token) as client:
        assert client.get("/healthz").status_code == 200
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Bearer"},
            {"Authorization": "Basic @"},
            {"Authorization": "Bearer corrèct"},
        ):
            for address in ("/v1/model", "/metrics", "/docs", "/openapi.json", "/nothing"):
                response = client.get(address, headers={name: value.encode() for name, value in headers.items()})
                assert error(response) == "unauthorized"
                assert response.headers["www-authenticate"].startswith("Basic")
        assert error(post(client, png())) == "unauthorized"
        assert client.get("/v1/model", headers={"Authorization": "bearer correct horse"}).status_code == 200
        assert client.get("/v1/model", auth=("anyone", "correct horse")).status_code == 200


def test_more_than_the_limit_in_flight_are_refused_and_the_others_answered() -> None:
    slow = Slow()
    with serving(service(slow, max_in_flight=4)) as client, ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(post, client, png()) for _ in range(12)]
        refused = 0
        while refused < 8:
            refused = sum(each.done() for each in waiting)
        assert client.get("/healthz").status_code == 200
        slow.go.set()
        responses = [each.result() for each in waiting]
        assert [response.status_code for response in responses].count(200) == 4
        busy = [response for response in responses if response.status_code != 200]
        assert {error(response) for response in busy} == {"too_many_requests"}
        assert {response.headers["retry-after"] for response in busy} == {"1"}
        assert post(client, png()).status_code == 200


def test_pixels_in_flight_are_bounded() -> None:
    slow = Slow()
    large = png(np.zeros((10, 10, 3), np.uint8))
    with serving(service(slow, max_pixels=100)) as client, ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(post, client, large) for _ in range(8)]
        while sum(each.done() for each in waiting) < 4:
            pass
        slow.go.set()
        assert sorted(each.result().status_code for each in waiting) == [200] * 4 + [429] * 4
        assert [post(client, large).status_code for _ in range(8)] == [200] * 8


def test_a_picture_for_which_the_memory_is_too_small_is_too_large() -> None:
    class Small(Slow):
        def predict(self, images: Sequence[NDArray[Any]]) -> list[Prediction]:
            raise MemoryError

    with serving(service(Small())) as client:
        assert error(post(client, png())) == "too_many_pixels"


def test_a_request_that_never_fits_is_not_told_to_try_again() -> None:
    pictures = [base64.b64encode(png(picture(10, 10, seed))).decode() for seed in range(5)]
    with serving(service(max_pixels=100)) as client:
        assert client.post("/v1/predict", json={"images": pictures[:4]}).status_code == 200
        assert error(client.post("/v1/predict", json={"images": pictures})) == "too_many_pixels"


def test_a_decoder_that_outlasts_its_request_reserves_nothing() -> None:
    async def outlast() -> int:
        served = service(Slow(), max_pixels=100)
        served.start()
        with served.admit() as admission:
            admission.reserve(0, 50)
        with pytest.raises(Refusal):
            admission.reserve(1, 50)
        await served.close()
        return served.pixels

    assert asyncio.run(outlast()) == 0


def test_a_deflated_dicom_file_is_refused_before_it_is_inflated(client: httpx2.Client) -> None:
    pydicom = pytest.importorskip("pydicom")
    dataset = pydicom.dcmread(pydicom.data.get_testdata_file("MR_small.dcm", download=False))
    content = io.BytesIO()
    dataset.save_as(content)
    assert post(client, content.getvalue(), "application/dicom").status_code == 200
    dataset.PixelData = bytes(100_000_000)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    content = io.BytesIO()
    dataset.save_as(content)
    tracemalloc.start()
    assert error(post(client, content.getvalue(), "application/dicom")) == "not_a_picture"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_refused_picture_ends_the_others_of_its_request() -> None:
    slow = Slow()
    pictures = [base64.b64encode(content).decode() for content in (png(), png(), b"no picture")]
    with serving(service(slow)) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, client, png())
        while not slow.sizes:
            pass
        assert error(client.post("/v1/predict", json={"images": pictures})) == "not_a_picture"
        slow.go.set()
        assert first.result().status_code == post(client, png()).status_code == 200
    assert slow.sizes == [1, 1]


def test_an_answer_that_takes_too_long_is_refused() -> None:
    slow = Slow()
    with serving(service(slow, timeout=0.3)) as client:
        assert error(post(client, png())) == "timeout"
        slow.go.set()
        assert post(client, png()).status_code == 200


def test_a_body_that_takes_too_long_is_refused() -> None:
    with serving(service(Slow(0.001), timeout=0.3)) as client:
        import socket

        with socket.create_connection((client.base_url.host, client.base_url.port)) as stream:
            stream.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\nabc")
            stream.settimeout(5)
            prediction = stream.recv(4096)
        assert prediction.startswith(b"HTTP/1.1 408")
        assert client.get("/metrics").text.count("pellucid_in_flight 0.0") == 1


def test_waiting_pictures_are_computed_together() -> None:
    slow = Slow()
    with serving(service(slow)) as client, ThreadPoolExecutor(33) as pool:
        first = pool.submit(post, client, png())
        while not slow.sizes:
            pass
        others = [pool.submit(post, client, png()) for _ in range(32)]
        while "pellucid_in_flight 33.0" not in client.get("/metrics").text:
            pass
        slow.go.set()
        assert {each.result().status_code for each in (first, *others)} == {200}
    assert slow.sizes[0] == 1
    assert max(slow.sizes) >= 16  # some may still have been on their way


def test_several_threads_compute_a_batch_each_of_about_equal_size() -> None:
    slow = Slow()
    with serving(Service(slow, num_threads=2)) as client, ThreadPoolExecutor(34) as pool:
        others = [pool.submit(post, client, png()) for _ in range(2)]
        while len(slow.sizes) < 2:
            pass
        others += [pool.submit(post, client, png()) for _ in range(32)]
        while "pellucid_in_flight 34.0" not in client.get("/metrics").text:
            pass
        slow.go.set()
        assert {each.result().status_code for each in others} == {200}
    assert slow.sizes[:2] == [1, 1]
    assert sum(slow.sizes) == 34
    assert max(slow.sizes) <= 17
    assert len(slow.sizes) <= 8


def test_large_pictures_are_computed_by_all_cores_and_small_ones_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    class Watched(Slow):
        def predict(self, images: Sequence[NDArray[Any]]) -> list[Prediction]:
            used.append(torch.get_num_threads())
            return super().predict(images)

    predict = predict_on_cores(Watched(0.001), 3)
    small, large = np.zeros((8, 8, 3), np.uint8), np.zeros((256, 256, 3), np.uint8)
    with ThreadPoolExecutor(1) as pool:
        for pictures in ([small, small], [small, large], [small]):
            assert len(pool.submit(predict, pictures).result()) == len(pictures)
    assert used == [1, 3, 1]
    assert torch.get_num_threads() == 1  # of this thread


def test_batches_at_a_time_are_the_threads_of_torch_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    torch_predictor = predictor()
    assert num_batches(torch_predictor) == 3
    torch_predictor.backend = MirroredBackend(torch_predictor.backend)
    assert num_batches(torch_predictor) == 3
    torch_predictor.backend = None  # an exported model's engine has threads of its own
    assert num_batches(torch_predictor) == 1


def test_a_picture_that_fails_takes_no_others_with_it() -> None:
    slow = Slow()
    evil = png(np.full((4, 4, 3), 66, np.uint8))
    with serving(service(slow)) as client, ThreadPoolExecutor(9) as pool:
        first = pool.submit(post, client, png())
        while not slow.sizes:
            pass
        others = [pool.submit(post, client, evil if number == 3 else png()) for number in range(8)]
        while "pellucid_in_flight 9.0" not in client.get("/metrics").text:
            pass
        slow.go.set()
        assert [each.result().status_code for each in (first, *others)] == [200] * 4 + [500] + [200] * 4
        assert error(others[3].result()) == "internal"
        assert client.get("/healthz").status_code == 200


def test_nothing_of_a_request_reaches_the_file_system(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = io.open

    def watch(name: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        opened.append((name, mode))
        return real(name, mode, *arguments, **options)

    monkeypatch.setattr("builtins.open", watch)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda *_, **__: pytest.fail("a body was written to a file"))
    large = encoded(Image.fromarray(picture(190, 200)), "BMP")
    assert client.post("/v1/predict", files={"image": ("/tmp/evil.png", large)}).status_code == 200
    assert [name for name, mode in opened if "evil" in str(name) or set(mode) & set("wax+")] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "0.0.0.0"}, "a token for 0.0.0.0"),
        ({"host": "::"}, "a token for ::"),
        ({"host": "example.org"}, "a token for example.org"),
        ({"token": "short"}, "at least 8 characters"),
        ({"token": "short" + 5 * "\n"}, "one of 5"),
        ({"workers": 2}, "--no-page"),
        ({"workers": 0}, "workers"),
        ({"port": 70_000}, "port"),
    ],
)  # fmt: skip
def test_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ServerSettings(**settings)


def test_settings_that_are_safe_are_taken() -> None:
    with listen(ServerSettings(port=0)) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"
    assert "secret" not in repr(ServerSettings(host="0.0.0.0", token="secret token"))
    ServerSettings(host="0.0.0.0", open_to_all=True)
    assert [is_loopback(host) for host in ("127.0.0.2", "::1", "localhost", "10.0.0.1")] == [True, True, True, False]
    with pytest.raises(UserError, match="max_bytes"):
        Limits(max_bytes=0)


class Attempt:
    """Stands for the maps of a forward pass."""


def test_a_second_attempt_has_the_memory_of_the_first_one() -> None:
    attempts: list[weakref.ref[Attempt]] = []

    def predict(pictures: Sequence[Pixels]) -> list[Prediction]:
        assert not [each for each in attempts if each() is not None]
        maps = Attempt()
        attempts.append(weakref.ref(maps))
        if len(pictures) > 1:
            raise MemoryError
        return [Prediction("cat", 1.0, {"cat": 1.0}, None)]

    async def run() -> list[Prediction]:
        batcher = Batcher(predict, 4)
        batcher.start()
        predictions = await asyncio.gather(*(batcher.predict(np.zeros((8, 8, 3), np.uint8)) for _ in range(3)))
        await batcher.close()
        return predictions

    assert [each.label for each in asyncio.run(run())] == ["cat"] * 3
    assert len(attempts) == 4
