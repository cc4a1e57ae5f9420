# What runs on, or beside, the robot: ROS 2 Jazzy, the nodes, the policy, MuJoCo. No torch. x86-64.
#
#   docker build --file docker/robot.Dockerfile --tag firsthand-robot .
#   docker build --file docker/robot.Dockerfile --tag firsthand-robot:cuda --build-arg BASE=nvidia/cuda:12.8.1-cudnn-runtime-ubuntu22.04 .
#
# Every step is one of the Makefile's, so an image is what `make` installs anywhere, with the same pins. Ubuntu 22.04: its
# Python 3.10 has the robot's DDS as a wheel, and the ZED SDK is made for it.
ARG BASE=ubuntu:22.04
FROM ${BASE}

RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates make python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 --groups video firsthand

WORKDIR /opt/firsthand
COPY Makefile ./
RUN make system && rm -rf /var/lib/apt/lists/* && install --directory --owner firsthand /opt/firsthand /recordings

COPY --chown=firsthand:firsthand . .
USER 1000:1000
RUN make robot

ENV PATH=/opt/firsthand/.venv/bin:$PATH
ENTRYPOINT ["firsthand"]
CMD ["--help"]
