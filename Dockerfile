# The API and the page on a CPU:
#   docker build -t pellucid .
#   docker run --rm -p 127.0.0.1:8000:8000 -e PELLUCID_TOKEN="$(openssl rand -hex 16)" pellucid
# A model of your own: -v "$PWD/runs/mine:/model:ro" pellucid /model
FROM python:3.12.12-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
# The build of torch without CUDA has a tenth of the size; "+cpu" satisfies the pin of constraints.txt. From that index only these two are
# installed; the second line gets their dependencies from PyPI.
RUN pip install --no-cache-dir --no-deps -c constraints.txt --index-url https://download.pytorch.org/whl/cpu torch torchvision \
    && pip install --no-cache-dir -c constraints.txt ".[app,dicom]"

FROM python:3.12.12-slim-bookworm
COPY --from=build /venv /venv
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin pellucid
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 HOME=/tmp
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# It must listen to all addresses of the container, and so refuses to start without $PELLUCID_TOKEN (or --open-to-all).
ENTRYPOINT ["pellucid", "app", "--host", "0.0.0.0", "--port", "8000"]
# `docker stop` sends SIGTERM; with --time 70, accepted requests are completed.
CMD ["bundled"]
