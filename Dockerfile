# Servers, workers and the command line in one image, at the versions of constraints.txt.
#
#   docker build --tag mirror-bert-pipeline .
#   docker build --build-arg TORCH_INDEX=https://pypi.org/simple .    with CUDA, several times as large
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    DO_NOT_TRACK=true \
    MLFLOW_DISABLE_TELEMETRY=true \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    MIRROR_HOME=/data/workspace \
    PREFECT_HOME=/data/prefect

# Folders that volumes are mounted on have to be the user's before they are.
RUN groupadd --gid 10001 mirror \
    && useradd --uid 10001 --gid mirror --create-home mirror \
    && mkdir -p /app /data/workspace /data/prefect /data/mlflow \
    && chown -R mirror:mirror /data

WORKDIR /app

# In a layer of its own: it is the largest, and changes least.  Its own dependencies come with the rest.
COPY constraints.txt ./
RUN pip install --constraint constraints.txt --no-deps --index-url "${TORCH_INDEX}" torch

COPY . .
# Where it lies, because recipes, benchmarks and prefect.yaml are beside the code.
RUN pip install --constraint constraints.txt --editable '.[login,postgres]'

USER mirror
CMD ["mirror", "--help"]
