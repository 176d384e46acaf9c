# caelab on CPUs: the lab, the page and every command, as an ordinary user. See docs/how-to/container.md.

FROM python:3.12-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends binutils
COPY . /src
RUN python -m venv /venv
# The index has builds of PyTorch without the libraries of GPUs, which would take several gigabytes.
RUN /venv/bin/pip install --no-cache-dir --no-compile --constraint /src/constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu '/src[app]'
# What only developers of PyTorch and of the other packages need: a third of the size.
RUN cd /venv/lib/python3*/site-packages && rm -rf torch/include torch/test pip pip-* && find torch/bin -type f -not -name torch_shm_manager -delete && find . -type d -name tests -not -path './torch/*' -prune -exec rm -rf {} + && strip --strip-unneeded torch/lib/libtorch_cpu.so torch/lib/libtorch_python.so

FROM python:3.12-slim
# The compiler makes the fast loops for the processor on which the container runs.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/* && useradd --create-home student
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH
USER student
WORKDIR /home/student
EXPOSE 7860
ENTRYPOINT ["caelab"]
CMD ["--help"]
