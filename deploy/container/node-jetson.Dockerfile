# syntax=docker/dockerfile:1
# A node on a Jetson with JetPack 7 (Python 3.12; see docs/jetson.md). Build on the Jetson, from the root:
#   docker build -f deploy/container/node-jetson.Dockerfile -t wayside-node-jetson:0.1.0 .
# Run with --runtime nvidia, and `model: {backend: tensorrt}` in the configuration: the ONNX Runtime in here runs on the
# processor, TensorRT is the base's.
#
# BASE is an image of NVIDIA's with TensorRT 10.6 or newer and Python 3.11 or newer, for your JetPack. To pin it by
# content, put its digest behind the tag (see centre.Dockerfile).
ARG BASE=nvcr.io/nvidia/tensorrt:25.08-py3

FROM ${BASE}
LABEL org.opencontainers.image.title="wayside-node-jetson" org.opencontainers.image.licenses="Apache-2.0"
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 DEBIAN_FRONTEND=noninteractive
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10002 wayside \
    && useradd --uid 10002 --gid 10002 --groups video --no-create-home --home-dir /var/lib/wayside \
        --shell /usr/sbin/nologin wayside \
    && install -d -o wayside -g wayside -m 0700 /var/lib/wayside
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY protocols/ protocols/
COPY edge/ edge/
COPY export/ export/
COPY central/ central/
# With the packages of the system, so that TensorRT is seen.
RUN python3 -m venv --system-site-packages /opt/wayside && /opt/wayside/bin/pip install ".[edge]" && rm -rf /src/*
ENV PATH=/opt/wayside/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
USER 10002:10002
WORKDIR /var/lib/wayside
VOLUME ["/var/lib/wayside"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=600s --retries=4 \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9100/metrics', timeout=4)"]
ENTRYPOINT ["wayside-edge"]
CMD ["run", "--config", "/etc/wayside/node.yaml", "--log-json"]
