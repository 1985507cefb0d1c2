# One image for both processes: `python -m gateway …` and `python -m gateway_operator …`.
#
#   docker build -t faregate .
#
# An index of packages other than pip's default is given by --build-arg PIP_INDEX_URL=…; it is in
# the environment of the first stage only and leaves no trace in the image.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG PIP_INDEX_URL
ARG PIP_CERT
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# Two environments: pip lives in the first and puts the packages into the second, which is shipped.
RUN python -m venv /opt/pip && python -m venv --without-pip /opt/faregate
COPY .locks/image.txt /opt/pip/lock.txt
RUN /opt/pip/bin/pip --python /opt/faregate/bin/python install --quiet --no-compile --no-deps \
      --only-binary :all: --require-hashes -r /opt/pip/lock.txt
COPY .dev/prune.py /opt/pip/prune.py
# Compiled once, so that a process on a read-only file system starts without compiling; a compiled
# file is taken as it is and not compared with its source.
RUN /opt/faregate/bin/python /opt/pip/prune.py \
    && /opt/faregate/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/faregate/lib

# The code is a small layer of its own: an upgrade that changes no dependency fetches no more.
FROM build AS code
COPY gateway /opt/faregate/lib/python3.11/site-packages/gateway
COPY operator/gateway_operator /opt/faregate/lib/python3.11/site-packages/gateway_operator
RUN cd /opt/faregate/lib/python3.11/site-packages \
    && /opt/faregate/bin/python -m compileall -q --invalidation-mode unchecked-hash \
      "$PWD/gateway" "$PWD/gateway_operator" \
    && /opt/faregate/bin/python -m gateway --help >/dev/null \
    && /opt/faregate/bin/python -m gateway_operator --help >/dev/null

FROM ${BASE}
ARG VERSION=0.2.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Faregate" \
      org.opencontainers.image.description="An API gateway for language models that a Kubernetes team runs itself" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/faregate /opt/faregate
COPY --from=code /opt/faregate/lib/python3.11/site-packages/gateway \
     /opt/faregate/lib/python3.11/site-packages/gateway
COPY --from=code /opt/faregate/lib/python3.11/site-packages/gateway_operator \
     /opt/faregate/lib/python3.11/site-packages/gateway_operator
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
