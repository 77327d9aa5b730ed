# syntax=docker/dockerfile:1
# `detoxlab serve` with the embedded scorers, on the CPU, without network at run time.
#
#   docker build -t detoxlab-serve .
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -p 127.0.0.1:8080:8080 detoxlab-serve
#
# Other scorers and settings come after the image's name: `detoxlab-serve --scorer human-neural`.

FROM python:3.11-slim AS build
# The CPU build; without it pip fetches gigabytes of CUDA. The version is that of constraints.txt.
ARG TORCH=2.13.0+cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/detoxlab
ENV PATH=/opt/detoxlab/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY constraints.txt ./
# First, so that this layer stays when the code changes.
RUN pip install -c constraints.txt --extra-index-url "$TORCH_INDEX" "torch==$TORCH"
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install -c constraints.txt ".[serve,offline]"

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin detoxlab
COPY --from=build /opt/detoxlab /opt/detoxlab
# Everything that is written goes to /tmp, the one place that is writable under --read-only.
ENV PATH=/opt/detoxlab/bin:$PATH \
    HOME=/tmp \
    DETOXLAB_CACHE=/tmp/detoxlab \
    HF_HUB_OFFLINE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]
STOPSIGNAL SIGTERM
# Inside of the container every address; `-p` says who reaches it.
ENTRYPOINT ["detoxlab", "serve", "--host", "0.0.0.0", "--port", "8080"]
CMD ["--scorer", "rtp-neural"]
