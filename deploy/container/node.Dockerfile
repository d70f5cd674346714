# syntax=docker/dockerfile:1
# A node on a processor (x86-64 or 64-bit Arm). Build from the root of the repository:
#   docker build -f deploy/container/node.Dockerfile -t wayside-node:0.1.0 .
#
# To pin the base by content, put its digest behind the tag (see centre.Dockerfile).

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/wayside
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY protocols/ protocols/
COPY edge/ edge/
COPY export/ export/
COPY central/ central/
RUN /opt/wayside/bin/pip install -c requirements.lock ".[edge]"

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="wayside-node" org.opencontainers.image.licenses="Apache-2.0"
# 44 is Debian's group of cameras that sit on the machine itself (video).
RUN groupadd --gid 10002 wayside \
    && useradd --uid 10002 --gid 10002 --groups 44 --no-create-home --home-dir /var/lib/wayside \
        --shell /usr/sbin/nologin wayside \
    && install -d -o wayside -g wayside -m 0700 /var/lib/wayside
COPY --from=build /opt/wayside /opt/wayside
ENV PATH=/opt/wayside/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10002:10002
WORKDIR /var/lib/wayside
# Everything else may be read-only: --read-only --tmpfs /tmp
VOLUME ["/var/lib/wayside"]
STOPSIGNAL SIGTERM
# Serves no port. Its configuration has `metrics: {port: 9100}` for this check, on loopback.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9100/metrics', timeout=4)"]
ENTRYPOINT ["wayside-edge"]
CMD ["run", "--config", "/etc/wayside/node.yaml", "--log-json"]
