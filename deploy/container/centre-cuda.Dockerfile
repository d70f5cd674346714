# syntax=docker/dockerfile:1
# The centre with an NVIDIA GPU, for training. Build from the root of the repository, after the one for a processor:
#   docker build -f deploy/container/centre.Dockerfile -t wayside-centre:0.1.0 .
#   docker build -f deploy/container/centre-cuda.Dockerfile -t wayside-centre-cuda:0.1.0 .
#
# The builds of torch that general indexes have for Linux bring CUDA with them, and the GPU's driver comes from the host
# (the NVIDIA container toolkit, `--gpus all`): so it is the same file with another TORCH only where the index at hand
# gives CPU builds. This one adds what the toolkit asks for.
ARG CENTRE=wayside-centre:0.1.0
FROM ${CENTRE}
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
CMD ["serve"]
