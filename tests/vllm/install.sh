#!/usr/bin/env bash
# Prints the Python of an environment with vLLM for CPUs; makes it at first (2.5 GB, 3 minutes).
#
# It lies in the cache, outside of the checkout, under a name that ends in the hash of its pins. The
# marker is written last and the lock held throughout, so a half-made one is never used.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${TOOLRM_GUARD_CACHE:-$HOME/.cache/toolrm_guard}
pins=$here/requirements.txt
venv=$cache/vllm-venv-$(sha256sum "$pins" | cut -c1-12)
mkdir -p "$cache"
exec 9>"$venv.lock"
flock 9
if [ ! -e "$venv/.ready" ]; then
  echo "Making $venv (2.5 GB, about 3 minutes, once) ..." >&2
  rm -rf "$venv"
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    --requirement "$pins" >&2
  "$venv/bin/python" -c 'import torch, vllm' >&2
  touch "$venv/.ready"
fi
echo "$venv/bin/python"
