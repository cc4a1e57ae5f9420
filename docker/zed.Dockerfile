# The robot's image with the ZED SDK, for cameras:=zed. Stereolabs' licence forbids to pass the SDK on: fetch the installer
# for Ubuntu 22 and your CUDA from them, put it into docker/, and keep the image to yourself.
#
#   docker build --file docker/zed.Dockerfile --tag firsthand-robot:zed --build-arg ZED_SDK=ZED_SDK_Ubuntu22.run docker
#   docker run --gpus all --privileged ...      the SDK needs the GPU, and USB as it comes
ARG ROBOT=firsthand-robot:cuda
# hadolint ignore=DL3006
FROM ${ROBOT}

USER root
ARG ZED_SDK=ZED_SDK_Ubuntu22.run
COPY ${ZED_SDK} /tmp/zed_sdk.run
RUN apt-get update \
 && apt-get install -y --no-install-recommends less lsb-release sudo udev wget zstd \
 && bash /tmp/zed_sdk.run -- silent skip_cuda skip_tools \
 && chown -R firsthand:firsthand /usr/local/zed \
 && rm -rf /tmp/zed_sdk.run /var/lib/apt/lists/*

USER 1000:1000
RUN python /usr/local/zed/get_python_api.py
