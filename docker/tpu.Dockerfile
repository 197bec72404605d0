# mm15 for TPU hosts. From the top of the repository:
#   docker build --file docker/tpu.Dockerfile --tag IMAGE .
# The lock file says which versions; what only tests and development need is left out.
FROM python:3.11-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /source
COPY . .
RUN uv venv /opt/mm15 && \
    uv pip install --no-cache --compile-bytecode --python /opt/mm15/bin/python \
      --constraint requirements.lock '.[tpu,gcs]'

FROM python:3.11-slim-bookworm
COPY --from=build /opt/mm15 /opt/mm15
ENV PATH=/opt/mm15/bin:$PATH \
    PYTHONUNBUFFERED=1
# Root, without capabilities beyond those the manifest gives: the chips are devices of root.
WORKDIR /work
CMD ["mm15", "--help"]
