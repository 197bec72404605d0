# mm15 for NVIDIA GPUs, on Slurm by Pyxis or Apptainer. From the top of the repository:
#   docker build --file docker/gpu.Dockerfile --tag IMAGE .
# CUDA comes from its wheels; the host brings the driver.
FROM python:3.11-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /source
COPY . .
RUN uv venv /opt/mm15 && \
    uv pip install --no-cache --compile-bytecode --python /opt/mm15/bin/python \
      --constraint docker/gpu.lock '.[gpu,gcs]'

FROM python:3.11-slim-bookworm
COPY --from=build /opt/mm15 /opt/mm15
ENV PATH=/opt/mm15/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN useradd --create-home --uid 1000 mm15
USER 1000
WORKDIR /work
CMD ["mm15", "--help"]
