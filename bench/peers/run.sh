#!/bin/bash
# Our program beside what a user could pick instead: OpenCV's DNN module, PyTorch and ONNX Runtime, on the same network,
# weights and input. The outputs are compared before anything is timed; then rounds in turn (A B C A B C ...), so that
# drift of the machine meets all alike. docs/bench.md says what is needed and how to read the table.
#
#   bench/peers/run.sh [--rounds 5] [--runs 7] [--size 416] [--threads 2] [--engine auto] [--out build/peers]
#
# What is not installed is skipped, and said. Environment: PYTHON (default /usr/bin/python3, which sees Debian's
# packages), ORT_NODE_MODULES (the node_modules that has onnxruntime-node; default ./node_modules).
# Leaves OUT/case (the files that all read), OUT/times.txt and OUT/table.md. Run it on a quiet machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
rounds=5 runs=7 size=416 threads=2 engine=auto out=$root/build/peers
while [ $# -gt 0 ]; do
  case "$1" in
    --rounds|--runs|--size|--threads|--engine|--out) declare "${1#--}=${2:?$1 needs a value}"; shift 2 ;;
    *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
done
python=${PYTHON:-/usr/bin/python3}
export OMP_NUM_THREADS=$threads
case_folder=$out/case
programs=$root/build/release/bench/peers

targets=(yolov3 write_case)
cmake --preset release -S "$root" >/dev/null
if cmake --build "$root/build/release" --target help | grep -q '^ocv_bench:'; then targets+=(ocv_bench); fi
cmake --build "$root/build/release" --target "${targets[@]}" -j "$threads" >/dev/null

# ---- who takes part: a function a program, called with "check 0" or "time RUNS"
opencv() { "$programs/ocv_bench" "$case_folder" "$1" "$2" "$threads"; }
torch() { "$python" "$here/torch_peer.py" "$case_folder" "$1" "$2" "$threads"; }
ort() { node "$here/ort_peer.js" "$case_folder" "$1" "$2" "$threads"; }
ours() {  # name, runs
  "$root/build/release/yolov3" bench --engine "$engine" --precision "${1#ours-}" --threads "$threads" --runs "$2" \
    --model "$case_folder/yolov3.cfg" --weights "$case_folder/yolov3.weights" --source "$case_folder/picture.jpg" \
    --steps false --json "$out/bench-$1.json" >/dev/null
  "$python" "$here/report.py" samples "$1" "$out/bench-$1.json"
}

peers=()
if [[ " ${targets[*]} " == *" ocv_bench "* ]]; then
  peers+=(opencv)
else
  echo "skipped OpenCV: built without its dnn module"
fi
if "$python" -c 'import torch, numpy' 2>/dev/null; then
  peers+=(torch)
else
  echo "skipped PyTorch: $python has none (python3-torch)"
fi
if ! command -v node >/dev/null || ! node "$here/ort_peer.js" . version >/dev/null 2>&1; then
  echo "skipped ONNX Runtime: no onnxruntime-node in ${ORT_NODE_MODULES:-./node_modules} (npm install onnxruntime-node)"
elif [[ " ${peers[*]} " != *" torch "* ]] || ! "$python" -c 'import onnx' 2>/dev/null; then
  echo "skipped ONNX Runtime: its model is exported by PyTorch and quantised with onnx (python3-torch, python3-onnx)"
else
  peers+=(ort)
fi

# ---- the case, and everyone's maps of it
rm -rf "$case_folder" "$out/times.txt"
mkdir -p "$out"
"$programs/write_case" "$case_folder" "$size" "$threads" "$engine"
if [[ " ${peers[*]} " == *" ort "* ]]; then
  PYTHONWARNINGS=ignore torch onnx 0 >/dev/null 2>&1
  "$python" "$here/make_int8.py" "$case_folder" all
  ort ranges 0
  "$python" "$here/make_int8.py" "$case_folder" quantise
fi
for peer in "${peers[@]}"; do
  echo "$peer: $($peer version 0)"
  $peer check 0
done
"$python" "$here/report.py" check "$case_folder"

# ---- the times
mapfile -t own < <(cd "$case_folder/outputs" && ls ours-*.f32 | sed 's/\.f32$//' | sort)
for ((round = 1; round <= rounds; ++round)); do
  echo "round $round of $rounds"
  for name in "${own[@]}"; do ours "$name" "$runs" | sed "s/^/$round /" >>"$out/times.txt"; done
  for peer in "${peers[@]}"; do $peer time "$runs" | sed "s/^/$round /" >>"$out/times.txt"; done
done
cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
"$python" "$here/report.py" table "$case_folder" "$out/times.txt" "$out/table.md" \
  "YOLOv3-$size, 80 classes, $threads threads, $cpu, $rounds rounds of $runs runs"
