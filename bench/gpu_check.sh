#!/usr/bin/env bash
# Everything that needs a GPU, within nine minutes.  All output goes to OUT/gpu.txt.
#
#   python -m bench.gpu_check prepare TEXT.parquet FOLDER    on any machine, before
#   bench/gpu_check.sh FOLDER OUT                            on the machine with the GPU
#
# The pretraining's checkpoint stays in FOLDER/workspace; copy it back to go on from it.
# SMALL=1 is a dry run on a CPU, with `prepare ... --small`.
set -uo pipefail
cd "$(dirname "$0")/.."
folder=$1 out=$2
python=${PYTHON:-python}
mkdir -p "$out"
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1

device=cuda small=() steps=50 strings=10000 minutes=4 size=(--layers 12 --width 768)
if [[ -n ${SMALL:-} ]]; then
  device=cpu small=(--small) steps=2 strings=64 minutes=0.1 size=(--layers 1 --width 64)
fi

part() { # NAME SECONDS COMMAND...
  echo "## $1"
  local began=$SECONDS
  timeout "$2" "${@:3}"
  echo "-- $1: exit $?, $((SECONDS - began)) s"
}

{
  part "hardware" 30 "$python" -c 'import torch; print(torch.__version__, torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU")'
  part "tests marked gpu" 60 "$python" -m pytest -m gpu -o addopts=--import-mode=importlib tests/unit/mirror/tuning tests/unit/mirror/encoders -q
  part "tuning, $strings strings" 90 "$python" -m bench.tuning_speed "${size[@]}" --texts "$folder/strings.txt" --rounds 1 --steps "$steps" --device "$device" --precision bf16
  part "encoding" 60 "$python" -m bench.encoding_speed "${size[@]}" --texts "$folder/strings.txt" --strings "$strings" --rounds 1 --device "$device"
  part "crops" 40 "$python" -m bench.gpu_check crops "$folder" "${small[@]}"
  part "pretraining" 255 "$python" -m bench.gpu_check pretrain "$folder" --minutes "$minutes" "${small[@]}"
} 2>&1 | tee "$out/gpu.txt"
