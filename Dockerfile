# One image for both processes: `python -m gateway …` and `python -m gateway_operator …`.
#
#   docker build -t faregate .
#
# An index of packages other than pip's default is given by --build-arg PIP_INDEX_URL=…; it is in
# the environment of the first stage only and leaves no trace in the image.
ARG BASE=python:3.13-slim-trixie

# Wheels are put together on the builder's own kind of processor, whichever the image is for: no
# program of the image runs, so no emulation is needed.
FROM --platform=$BUILDPLATFORM ${BASE} AS build
ARG TARGETARCH
ARG PIP_INDEX_URL
ARG PIP_CERT
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONHASHSEED=0
# Two environments: pip lives in the first and puts the packages into the second, which is shipped.
RUN python -m venv /opt/pip && python -m venv --without-pip /opt/faregate
COPY .locks/image.txt /opt/pip/lock.txt
RUN case "$TARGETARCH" in arm64) arch=aarch64 ;; *) arch=x86_64 ;; esac \
    && /opt/pip/bin/pip install --quiet --no-compile --no-deps --only-binary :all: \
      --platform "manylinux_2_28_$arch" --platform "manylinux_2_27_$arch" \
      --platform "manylinux_2_17_$arch" --platform "manylinux2014_$arch" \
      --target /opt/faregate/lib/python3.13/site-packages --require-hashes -r /opt/pip/lock.txt
COPY .dev/prune.py /opt/pip/prune.py
# Compiled once, so that a process on a read-only file system starts without compiling; a compiled
# file is taken as it is and not compared with its source.
RUN /opt/faregate/bin/python /opt/pip/prune.py \
    && /opt/faregate/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/faregate/lib

# The code is a small layer of its own: an upgrade that changes no dependency fetches no more.
FROM build AS code
COPY gateway /opt/faregate/lib/python3.13/site-packages/gateway
COPY operator/gateway_operator /opt/faregate/lib/python3.13/site-packages/gateway_operator
RUN cd /opt/faregate/lib/python3.13/site-packages \
    && /opt/faregate/bin/python -m compileall -q --invalidation-mode unchecked-hash \
      "$PWD/gateway" "$PWD/gateway_operator" \
    && case "$TARGETARCH-$(uname -m)" in amd64-x86_64 | arm64-aarch64) \
      /opt/faregate/bin/python -B -m gateway --help >/dev/null \
      && /opt/faregate/bin/python -B -m gateway_operator --help >/dev/null ;; esac

FROM ${BASE}
ARG VERSION=0.2.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Faregate" \
      org.opencontainers.image.description="An API gateway for language models that a Kubernetes team runs itself" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /opt/faregate /opt/faregate
COPY --from=code /opt/faregate/lib/python3.13/site-packages/gateway \
     /opt/faregate/lib/python3.13/site-packages/gateway
COPY --from=code /opt/faregate/lib/python3.13/site-packages/gateway_operator \
     /opt/faregate/lib/python3.13/site-packages/gateway_operator
# The user has a number only, so a program that asks for its name finds it in LOGNAME.
ENV PATH=/opt/faregate/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    LOGNAME=faregate \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
# A number, as Kubernetes can only see from a number that it is not root's.
USER 10001:10001
EXPOSE 8080 9090
ENTRYPOINT ["python", "-m"]
CMD ["gateway", "--help"]
