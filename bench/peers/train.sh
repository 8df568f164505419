#!/bin/bash
# Whole training steps of our program beside PyTorch's, on the same network and batch: forward, loss, backward, Adam. In
# rounds in turn, so that drift of the machine meets all alike. PyTorch is charged for the mean square of its maps only, we
# for the whole YOLO loss.
#
#   bench/peers/train.sh [--rounds 2] [--steps 3] [--size 416] [--batch 4] [--threads 2] [--out build/peers]
#
# Needs python3-torch (packages.txt, marked dev). Environment: PYTHON (default /usr/bin/python3). Leaves OUT/train.txt.
# Run it on a quiet machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
rounds=2 steps=3 size=416 batch=4 threads=2 out=$root/build/peers
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds|--steps|--size|--batch|--threads|--out) declare "${1#--}=${2:?$1 needs a value}"; shift 2 ;;
    *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
done
python=${PYTHON:-/usr/bin/python3}
export OMP_NUM_THREADS=$threads
"$python" -c 'import torch, numpy' || { echo "no PyTorch for $python (python3-torch)" >&2; exit 1; }
cmake --preset release -S "$root" >/dev/null
cmake --build "$root/build/release" --target yolov3 write_case -j "$threads" >/dev/null
mkdir -p "$out/case"
"$root/build/release/bench/peers/write_case" "$out/case" "$size" "$threads" auto >/dev/null

: > "$out/train.txt"
kinds=(f32 bf16)
grep -qE 'avx512_bf16|amx_bf16' /proc/cpuinfo || kinds=(f32)
for ((round = 1; round <= rounds; ++round)); do
  for kind in "${kinds[@]}"; do
    echo "round $round of $rounds: ours $kind" >&2
    "$root/build/release/yolov3" bench --train --engine dnnl --precision "$kind" --batch "$batch" --imgsz "$size" \
      --threads "$threads" --runs "$steps" --steps false --json - 2>/dev/null |
      "$python" -c 'import json, sys; print("ours-'"$kind"' %.1f" % json.load(sys.stdin)["step_ms"])' >> "$out/train.txt"
    for layout in nchw nhwc; do
      [ "$kind-$layout" = bf16-nchw ] && continue
      echo "round $round of $rounds: PyTorch $kind $layout" >&2
      "$python" "$here/torch_train_peer.py" "$out/case" "$kind-$layout" "$steps" "$batch" "$threads" >> "$out/train.txt"
    done
  done
done
"$python" - "$out/train.txt" "$batch" <<'PY'
import statistics
import sys
times = {}
for line in open(sys.argv[1]):
    name, ms = line.split()
    times.setdefault(name, []).append(float(ms))
print('| batch %s, Adam | ms a step (median) | PyTorch\'s best / ours |\n|---|---|---|' % sys.argv[2])
for kind in ('f32', 'bf16'):
    ours = [statistics.median(v) for k, v in times.items() if k == 'ours-' + kind]
    peers = {k: statistics.median(v) for k, v in times.items() if k.startswith('torch-' + kind)}
    if ours:
        print('| ours %s | %.0f | %.2f |' % (kind, ours[0], min(peers.values()) / ours[0]))
    for k, v in peers.items():
        print('| %s | %.0f | |' % (k.replace('torch-', 'PyTorch '), v))
PY
