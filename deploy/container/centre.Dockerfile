# syntax=docker/dockerfile:1
# The centre, on a processor. Build from the root of the repository:
#   docker build -f deploy/container/centre.Dockerfile -t wayside-centre:0.1.0 .
#
# Bases are pinned by tag. To pin them by content, put the digest behind the tag, as in
# python:3.11-slim-bookworm@sha256:..., which `docker buildx imagetools inspect IMAGE` shows.

FROM node:22-bookworm-slim AS web
WORKDIR /src/central/web
COPY central/web/package.json central/web/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY central/web/ ./
RUN npm run build

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/wayside
COPY pyproject.toml requirements.lock README.md LICENSE ./
# What TORCH says goes to pip: `torch==2.13.0` takes what the index has; with an index of CPU builds
# at hand, `torch==2.13.0+cpu` is a tenth of the size.
ARG TORCH=torch==2.13.0
RUN /opt/wayside/bin/pip install -c requirements.lock "${TORCH}"
COPY protocols/ protocols/
COPY edge/ edge/
COPY export/ export/
COPY central/ central/
COPY --from=web /src/central/web/dist/ central/web/dist/
RUN /opt/wayside/bin/pip install -c requirements.lock ".[central]"

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="wayside-centre" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 wayside \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/wayside --shell /usr/sbin/nologin wayside \
    && install -d -o wayside -g wayside -m 0700 /var/lib/wayside
COPY --from=build /opt/wayside /opt/wayside
ENV PATH=/opt/wayside/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    WAYSIDE_DATA=/var/lib/wayside WAYSIDE_HOST=0.0.0.0 WAYSIDE_PORT=8080 WAYSIDE_BEHIND_TLS=true \
    WAYSIDE_LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/wayside
# Everything else may be read-only: --read-only --tmpfs /tmp
VOLUME ["/var/lib/wayside"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=4 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/api/v1/health', timeout=4)"]
ENTRYPOINT ["wayside-central"]
CMD ["serve"]
