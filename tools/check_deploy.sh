#!/bin/bash
# A deployment program must start, and detect, where LibTorch was never installed.
#
#   tools/check_deploy.sh PROGRAM            starts, and is not linked to LibTorch
#   tools/check_deploy.sh PROGRAM TRAINER    and detects with a small model that TRAINER (a program with LibTorch)
#                                            trained just now: in each picture the best score is the same as TRAINER's
#   tools/check_deploy.sh PROGRAM TRAINER LIBRARY_USER    and so does examples/find_objects
set -euo pipefail
program=$(realpath "$1")
if ldd "$program" | grep -E 'libtorch|libc10|libgloo'; then
  echo "$program is linked to the libraries above" >&2
  exit 1
fi
"$program" info
[ $# -ge 2 ] || exit 0

trainer=$(realpath "$2")
user=${3:+$(realpath "$3")}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >small.cfg <<'CFG'
[net]
width=64
height=64
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=16
stride=16
padding=0
[convolutional]
filters=45
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0,1,2
anchors=10,13, 16,30, 33,23
classes=10
num=3
CFG
"$program" data synth --out digits --count 10
"$trainer" train --data digits/data.yaml --model small.cfg --imgsz 64 --batch 5 --epochs 1 --val false --workers 0 \
  --project runs --name small
for name in program trainer; do
  engine=$([ $name = program ] && echo dnnl || echo torch)
  "${!name}" detect --weights runs/small/weights/last.h5 --source digits/images/test --conf 0 --out $name --format csv \
    --draw false --engine "$engine" --precision f32
done

# The columns are found by their names, the pictures by theirs.
best_scores() {
  awk -F, 'NR == 1 { for (i = 1; i <= NF; ++i) column[$i] = i; next }
    { p = $column["source"]; sub(/.*\//, "", p); s = $column["score"]; if (!(p in best) || s > best[p]) best[p] = s }
    END { for (p in best) print p, best[p] }' "$1" | sort
}
best_scores program/detections.csv >program.txt
best_scores trainer/detections.csv >trainer.txt
compare() {  # FILE, WHOSE, TOLERANCE
  join program.txt "$1" | awk -v pictures="$(find digits/images/test -type f | wc -l)" -v whose="$2" -v tolerance="$3" '
    { d = $2 - $3; if (d < 0) d = -d; if (d > tolerance) { print $1 ": best score " $2 ", " whose " " $3; bad = 1 } else ++same }
    END { print same + 0 " of " pictures " pictures agree"; exit bad || !same || same != pictures }'
}
compare trainer.txt 'with LibTorch' 1e-3
[ -n "$user" ] || exit 0
"$user" runs/small/weights/last.h5 0 digits/images/test/* |
  awk '{ p = $1; sub(/.*\//, "", p); if (!(p in best) || $3 > best[p]) best[p] = $3 } END { for (p in best) print p, best[p] }' |
  sort >user.txt
compare user.txt 'by the library, perhaps in bf16,' 0.01
