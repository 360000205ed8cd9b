# Two stages: the first builds a virtual environment, the second holds nothing but it.
# Build: docker build -t gumloop-etl .
# Both stages must name the same Python: the environment points at its interpreter.

FROM python:3.13-slim-trixie AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src

# --build-constraint needs pip 25.3.
RUN python -m pip install --upgrade 'pip>=25.3,<27' \
    && python -m venv --without-pip /opt/venv

# First what changes rarely, so that an edit of the code doesn't install all of it again.
COPY requirements-postgres.lock ./
RUN python -m pip --python /opt/venv/bin/python install \
    --require-hashes --only-binary :all: -r requirements-postgres.lock

# The build's own tools are held to the versions and hashes of the development lock.
COPY requirements-dev.lock pyproject.toml README.md LICENSE config.example.toml ./
COPY migrations ./migrations
COPY docs/schema.md ./docs/
COPY etl ./etl
RUN python -m pip wheel --no-deps --build-constraint requirements-dev.lock --wheel-dir /wheels . \
    && python -m pip --python /opt/venv/bin/python install --no-deps --no-index /wheels/*.whl


FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="gumloop-etl" \
      org.opencontainers.image.description="Syncs the sessions of Gumloop agents into a SQL database" \
      org.opencontainers.image.licenses="Apache-2.0"

# The user has a number, so that a cluster can check that it isn't root. Its home is the volume.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin etl \
    && install --directory --owner=10001 --group=10001 --mode=0750 /data

COPY --from=build /opt/venv /opt/venv
# A config file with every key at its default: settings come from ETL_ variables,
# or from a file of yours mounted here.
COPY config.example.toml /etc/gumloop-etl/config.toml

# PYTHONSAFEPATH: a file in /data must not be taken for a module.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    ETL_CONFIG=/etc/gumloop-etl/config.toml

USER 10001:10001
# The default database, sqlite:///gumloop.db, lies here.
WORKDIR /data
VOLUME ["/data"]

# Can the database be read, and is its schema this program's? One row by its key, whatever the
# history's size; `status` would count every session. A dead scheduler ends the container itself.
HEALTHCHECK --interval=2m --timeout=30s --start-period=1m --retries=3 \
    CMD ["python", "-m", "etl", "runs", "--limit", "1", "--json"]

ENTRYPOINT ["python", "-m", "etl"]
CMD ["run"]
