# One image for every part of the system: `huleedu serve PART` chooses which one a container is.
#
# The first stages install and compile; the last one has neither a compiler nor an installer of its
# own choice, runs as nobody in particular, and writes nothing outside of its home folder and /tmp.

FROM ghcr.io/astral-sh/uv:0.13.9 AS uv

FROM python:3.11.15-slim-bookworm AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_CACHE_DIR=/var/cache/uv \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON=/opt/huleedu/bin/python \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /build
RUN uv venv --python /usr/local/bin/python3 /opt/huleedu

# Before the project: these packages change seldom, and their layer is taken from the cache.
COPY requirements/production.txt requirements/production.txt
RUN --mount=type=cache,target=/var/cache/uv \
    uv pip install --require-hashes --requirements requirements/production.txt

# What builds the wheel is pinned by hash as well, in the list of the developers' packages.
COPY requirements/constraints.txt requirements/constraints.txt
COPY pyproject.toml README.md ./
COPY huleedu_dagster huleedu_dagster
RUN --mount=type=cache,target=/var/cache/uv \
    uv build --wheel --require-build-hashes --build-constraints requirements/constraints.txt \
    && uv pip install --no-deps --no-index dist/*.whl

# Indexes of the dictionaries, so that no container spends seconds on building one, nor needs to
# write it. Several languages: --build-arg LANGUAGES="en sv".
ARG LANGUAGES=en
ENV HULEEDU_SPELLING_CACHE=/opt/huleedu/spelling
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN xargs /opt/huleedu/bin/huleedu dictionaries build <<< "${LANGUAGES}"

FROM python:3.11.15-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="HuleEdu essay intake" \
      org.opencontainers.image.description="Essay intake as a Dagster data-asset pipeline" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# The image has the standard library without bytecode, and nobody may write it later: compiled here
# once instead of at each start of a process.
RUN python -m compileall -q -x '/(test|tests|idlelib|lib2to3|turtledemo)/' \
        /usr/local/lib/python3.11 \
    && groupadd --gid 10001 huleedu \
    && useradd --uid 10001 --gid huleedu --no-create-home --home-dir /var/lib/huleedu \
        --shell /usr/sbin/nologin huleedu \
    && install --directory --owner=huleedu --group=huleedu --mode=0700 /var/lib/huleedu

COPY --from=build /opt/huleedu /opt/huleedu
ENV PATH=/opt/huleedu/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HULEEDU_HOME=/var/lib/huleedu \
    HULEEDU_SPELLING_CACHE=/opt/huleedu/spelling
# Not the home folder: a file `.env` there would be taken for settings.
WORKDIR /opt/huleedu
USER 10001:10001
ENTRYPOINT ["huleedu"]
CMD ["--help"]
