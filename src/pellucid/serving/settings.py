"""Settings of the server: model, address, access and limits."""

import ipaddress
from dataclasses import dataclass, field

from pellucid.errors import UserError
from pellucid.settings import Settings, setting

TOKEN = "PELLUCID_TOKEN"
"""Environment variable of the token: unlike a flag, it is not visible in the list of processes."""

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable of the folder in which prometheus_client collects the metrics of several workers."""


@dataclass(frozen=True)
class Limits(Settings):
    """Limits of one worker; requests beyond them are refused, see `refusal.py`.

    Args:
        max_bytes: of the body of a request.
        max_pixels: of a picture; checked in its header before it is decoded.
        max_pictures: of a request.
        max_in_flight: of concurrent requests.
        timeout: seconds for reading a request, and for the response.
    """

    max_bytes: int = setting(16_000_000, least=1)
    max_pixels: int = setting(16_000_000, least=1)
    max_pictures: int = setting(32, least=1)
    max_in_flight: int = setting(64, least=1)
    timeout: float = setting(60.0, above=0, most=86_400)

    @property
    def max_pixels_in_flight(self) -> int:
        """Maximum number of decoded pixels over all concurrent requests, which bounds the memory."""
        return 4 * self.max_pixels


@dataclass(frozen=True)
class ServerSettings(Settings):
    """A server; raises `UserError` for a public address without a token, unless `open_to_all` is set.

    Args:
        model: as for `Predictor.load`.
        host: address to listen on.
        port: number of the port; 0 for any free one.
        workers: number of processes, each with the model and its share of the cores.
        token: required in requests, as a bearer token or as the password of HTTP basic authentication; spaces and line breaks around
            it don't count, since files of secrets often end in one.
        open_to_all: serve without a token on a public address.
        page: serve the page at `/`; requires a single worker, since its state is in one process.
        device: a name of torch's, or `auto`.
        mirror: average over each picture and its mirror image.
        limits: of each worker.
    """

    model: str = "bundled"
    host: str = "127.0.0.1"
    port: int = setting(8000, least=0, most=65_535)
    workers: int = setting(1, least=1, most=256)
    token: str | None = field(default=None, repr=False)
    open_to_all: bool = False
    page: bool = True
    device: str = "auto"
    mirror: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.token is not None and (length := len(self.token.strip())) < 8:
            raise UserError(f"Expected a token of at least 8 characters, found one of {length}; choose a longer one.")
        if self.page and self.workers > 1:
            raise UserError(f"Expected one worker for the page, found {self.workers}; add --no-page, or leave --workers out.")
        if self.token is None and not self.open_to_all and not is_loopback(self.host):
            raise UserError(f"Expected a token for {self.host}, which others can reach, found none; set ${TOKEN}, or add --open-to-all.")


def is_loopback(host: str) -> bool:
    """Whether an address is a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
