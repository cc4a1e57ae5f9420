# Labelling, training and evaluation: everything that `make environment` brings, torch included. x86-64.
#
#   docker build --file docker/training.Dockerfile --tag firsthand-training .
#   docker run --gpus all --ipc host --volume "$PWD/runs:/opt/firsthand/runs" firsthand-training train --help
#
# torch's wheel carries the CUDA that it needs; the host needs its driver and the NVIDIA container toolkit.
ARG BASE=ubuntu:22.04
FROM ${BASE}

RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates make python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 firsthand

WORKDIR /opt/firsthand
COPY Makefile ./
RUN make system && rm -rf /var/lib/apt/lists/* && install --directory --owner firsthand /opt/firsthand

COPY --chown=firsthand:firsthand . .
USER 1000:1000
RUN make environment

ENV PATH=/opt/firsthand/.venv/bin:$PATH
ENTRYPOINT ["firsthand-lab"]
CMD ["--help"]
