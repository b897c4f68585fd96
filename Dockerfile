# How to run it: docs/guides/docker.md

FROM python:3.12-slim-trixie AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
# The environment is made without pip, so that the final stage has no pip.
RUN python -m venv --without-pip /opt/gatelodge \
 && pip --python /opt/gatelodge/bin/python install .


FROM python:3.12-slim-trixie

LABEL org.opencontainers.image.title="Gatelodge" \
      org.opencontainers.image.description="A login and authorization server" \
      org.opencontainers.image.licenses="MIT AND BSD-3-Clause AND Apache-2.0"

# The ids are fixed, so that a volume or a mounted file can be given to this user from outside.
RUN groupadd --gid 10001 gatelodge \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
            --shell /usr/sbin/nologin gatelodge \
 && install --directory --mode=0700 --owner=gatelodge --group=gatelodge /data

COPY --from=build /opt/gatelodge /opt/gatelodge

ENV PATH=/opt/gatelodge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GATELODGE_DATA_DIR=/data

USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM

# The empty ProxyHandler ignores HTTP_PROXY: the container calls itself, without a proxy.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-I", "-c", "from urllib.request import ProxyHandler, build_opener as o; o(ProxyHandler({})).open('http://127.0.0.1:8080/healthz', timeout=3)"]

ENTRYPOINT ["gatelodge"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
