# syntax=docker/dockerfile:1
# A node with an NVIDIA GPU in an x86-64 machine. Build from the root of the repository:
#   docker build -f deploy/container/node-cuda.Dockerfile -t wayside-node-cuda:0.1.0 .
# Run with the NVIDIA container toolkit: --gpus all
#
# To pin the bases by content, put their digest behind the tag (see centre.Dockerfile).

FROM nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04 AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 DEBIAN_FRONTEND=noninteractive
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /src
RUN python3 -m venv /opt/wayside
COPY pyproject.toml README.md LICENSE ./
COPY protocols/ protocols/
COPY edge/ edge/
COPY export/ export/
COPY central/ central/
# requirements.lock is of the processor's ONNX Runtime and of Python 3.11, so the ranges of pyproject.toml count here.
RUN /opt/wayside/bin/pip install ".[edge-gpu]"

FROM nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04
LABEL org.opencontainers.image.title="wayside-node-cuda" org.opencontainers.image.licenses="Apache-2.0"
ENV DEBIAN_FRONTEND=noninteractive
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3 && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10002 wayside \
    && useradd --uid 10002 --gid 10002 --groups video --no-create-home --home-dir /var/lib/wayside \
        --shell /usr/sbin/nologin wayside \
    && install -d -o wayside -g wayside -m 0700 /var/lib/wayside
COPY --from=build /opt/wayside /opt/wayside
ENV PATH=/opt/wayside/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
USER 10002:10002
WORKDIR /var/lib/wayside
VOLUME ["/var/lib/wayside"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=4 \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9100/metrics', timeout=4)"]
ENTRYPOINT ["wayside-edge"]
CMD ["run", "--config", "/etc/wayside/node.yaml", "--log-json"]
