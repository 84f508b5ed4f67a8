# Apollo's workers and command line. Temporal and the catalog are elsewhere: docs/cluster.md.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS build
WORKDIR /src
RUN python -m venv /opt/apollo
COPY requirements.image.lock ./
RUN /opt/apollo/bin/pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --only-binary :all: --requirement requirements.image.lock
COPY pyproject.toml README.md LICENSE ./
COPY apollo/ apollo/
COPY workflows/ workflows/
COPY activities/ activities/
COPY workers/ workers/
RUN /opt/apollo/bin/pip install --no-cache-dir --disable-pip-version-check \
    --no-deps --no-build-isolation --no-index .

FROM python:${PYTHON_VERSION}-slim
RUN useradd --uid 10001 --user-group --create-home --home-dir /var/lib/apollo apollo \
    && install --directory --owner apollo --group apollo /var/lib/apollo/store
COPY --from=build /opt/apollo /opt/apollo
ENV PATH=/opt/apollo/bin:$PATH \
    APOLLO_HOME=/var/lib/apollo \
    PYTHONUNBUFFERED=1
USER apollo
WORKDIR /var/lib/apollo
ENTRYPOINT ["apollo"]
CMD ["--help"]
