"""Settings of the server: what it serves, to whom, and its limits."""

import ipaddress
from dataclasses import dataclass, field

from pellucid.errors import UserError
from pellucid.settings import Settings, setting

TOKEN = "PELLUCID_TOKEN"
"""The environment variable of the token: unlike a flag, it doesn't show in the list of processes."""

SEVERAL = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable of the folder in which several workers keep their figures together, as prometheus_client has it."""


@dataclass(frozen=True)
class Limits(Settings):
    """What one worker takes; what exceeds it is refused, see `refusal.py`.

    Args:
        max_bytes: of the body of a request.
        max_pixels: of a picture; read from its header before it is decoded.
        max_pictures: of a request.
        max_in_flight: requests that are read, computed or waiting at a time.
        timeout: seconds in which a request must be read, and again in which it must be answered.
    """

    max_bytes: int = setting(16_000_000, least=1)
    max_pixels: int = setting(16_000_000, least=1)
    max_pictures: int = setting(32, least=1)
    max_in_flight: int = setting(64, least=1)
    timeout: float = setting(60.0, above=0, most=86_400)

    @property
    def max_pixels_in_flight(self) -> int:
        """Pixels, over all pictures that are decoded and not answered yet: bounds the memory."""
        return 4 * self.max_pixels


@dataclass(frozen=True)
class ServerSettings(Settings):
    """A server; raises `UserError` where others could reach it without a token and `open_to_all` doesn't say so.

    Args:
        model: as `load_model` takes it.
        host, port: what it listens to; port 0 for a free one.
        workers: processes, each with the model and its share of the cores.
        token: what requests must carry, as a bearer token or as the password of HTTP's basic authentication.
        open_to_all: serve without a token on an address that others can reach.
        page: show the page at `/`; it keeps its state in one process, so there must be no second worker.
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
        if self.token is not None and len(self.token) < 8:
            raise UserError(f"Expected a token of at least 8 characters, found one of {len(self.token)}; choose a longer one.")
        if self.page and self.workers > 1:
            raise UserError(f"Expected one worker for the page, found {self.workers}; add --no-page, or leave --workers out.")
        if self.token is None and not self.open_to_all and not is_loopback(self.host):
            raise UserError(f"Expected a token for {self.host}, which others can reach, found none; set ${TOKEN}, or add --open-to-all.")


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
