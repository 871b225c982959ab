"""Access to the Hugging Face hub: a check whether it can be reached, within two seconds, and downloads from it or its cache."""

import socket
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from pellucid.errors import UserError

CONNECT_TIMEOUT = 1.5
"""Seconds to wait for a connection. The hub's own client waits 10, for each of several requests."""


def hub_reachable() -> bool:
    """Whether the hub, or the proxy to it, accepts a connection within `CONNECT_TIMEOUT` seconds; false in the hub's offline mode."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    reached = threading.Event()
    # A thread, since name resolution has no timeout.
    threading.Thread(target=_connect, args=(constants.ENDPOINT, reached), daemon=True).start()
    return reached.wait(CONNECT_TIMEOUT)


def _connect(endpoint: str, reached: threading.Event) -> None:
    """Set `reached` once there is a connection to the host of `endpoint`, or to its proxy."""
    url = urlsplit(endpoint)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy and not urllib.request.proxy_bypass(url.hostname or ""):
        url = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    try:
        port = url.port or (80 if url.scheme == "http" else 443)
        with socket.create_connection((url.hostname or "", port), CONNECT_TIMEOUT):
            reached.set()
    except (OSError, ValueError):  # ValueError: a proxy whose port is no number
        return


def transport_error() -> type[Exception]:
    """The base class of all that goes wrong on the way to the hub; which package it is from depends on the version of the hub's client."""
    from huggingface_hub.errors import HfHubHTTPError

    return cast(type[Exception], HfHubHTTPError.__bases__[0])


def download(name: str, files: Sequence[str]) -> Path:
    """The local folder with `files` of the model `name` (owner/name); the newest version, or the cached one if the hub can't be reached.

    Raises `UserError` if there is neither.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    online = hub_reachable()
    try:
        return Path(snapshot_download(name, allow_patterns=list(files), etag_timeout=2, local_files_only=not online))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled, transport_error(), OSError) as error:
        reason = (
            f"the hub gave no such model ({type(error).__name__})" if online else "the hub can't be reached, nor is it in the hub's cache"
        )
        raise UserError(
            f"Expected a folder or a model on the Hugging Face hub, found {name}: no such folder, and {reason}; check the name."
        ) from None
