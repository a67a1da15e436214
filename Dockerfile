# The gateway as the image that runs inside ROFL: every function in one server, `python -m emulator`.
# https://docs.docker.com/reference/dockerfile/, https://docs.oasis.io/build/rofl/
#
#     docker build --tag ekai-gateway .
#
# TDX machines are linux/amd64. The digest names CPython 3.13.14 on Debian 12; docs/rofl.md, "Upgrades", says how to move on.
ARG PYTHON=docker.io/library/python:3.13.14-slim-bookworm@sha256:67a1e1f215ccda113cfc024e8639049257e88f273898f595b61476d128d387e8

FROM --platform=linux/amd64 ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
RUN python -m venv --without-pip /opt/gateway
COPY requirements.lock ./
# Wheels alone: nothing of a package runs while the image is made.
RUN python -m pip --python /opt/gateway/bin/python install --quiet --no-compile --only-binary=:all: --require-hashes -r requirements.lock
COPY LICENSE ./
COPY catalog ./catalog
COPY emulator ./emulator
COPY functions ./functions
COPY shared ./shared
# Hashes in place of times make the same bytes on every build, and "unchecked" spares a read of each source at start.
RUN /opt/gateway/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/gateway/lib catalog emulator functions shared

FROM --platform=linux/amd64 ${PYTHON}
LABEL org.opencontainers.image.title="Ekai Gateway" \
      org.opencontainers.image.source="https://github.com/ekailabs/ekai-gateway" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENV HOST=0.0.0.0 PORT=3001 DATABASE_PATH=/app/gateway/data/gateway.db LOG_FILE=gateway/logs/gateway.log
WORKDIR /app
COPY --from=build /opt/gateway /opt/gateway
COPY --from=build /app /app
# Open to root's group and to nobody else: so they can be written by the user below, and by root without capabilities.
RUN install -d -m 0770 gateway gateway/data gateway/logs
VOLUME /app/gateway/data
EXPOSE 3001
# Inside ROFL compose.yaml says root: appd's socket belongs to root, mode 0755, and connecting takes the right to write.
USER 10001:0
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-c", "import http.client as http, os, sys; c = http.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "emulator"]
