#!/bin/bash
# What does each option of training do, at least, and at once? Trains a small network with one option after the other and
# writes a table of what it reaches on the validation split. It shows that each trains and how unlike it begins; which is
# best in the end takes longer trainings (bench/presets).
#
#   bench/options/run.sh --data D [--out build/options] [--options FILE] [--epochs 10] [--size 128] [--model yolov3-tiny]
#                        [--program build/release/yolov3]
#
# One thread, f32, no loader threads: the same line gives the same bits. What is done is in OUT/results, a line a run, and
# is not done again; OUT/table.md is the table. Another data set, size, ... wants another OUT.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
data='' out=$root/build/options list=$here/options.txt epochs=10 size=128 model=yolov3-tiny program=$root/build/release/yolov3
usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$here/run.sh"; exit "$1"; }
while [ $# -gt 0 ]; do
  case $1 in
    --data|--out|--epochs|--size|--model|--program) declare "${1#--}=${2:?$1 needs a value}"; shift 2 ;;
    --options) list=${2:?--options needs a value}; shift 2 ;;
    --help) usage 0 ;;
    *) echo "error: $1 is no option" >&2; usage 2 >&2 ;;
  esac
done
[ -n "$data" ] || { echo 'error: --data is missing' >&2; exit 2; }
mkdir -p "$out"
touch "$out/results"
setup="$data, $model, $size px, $epochs epochs"
[ -f "$out/setup" ] || echo "$setup" >"$out/setup"
if [ "$setup" != "$(cat "$out/setup")" ]; then
  echo "error: $out has results of $(cat "$out/setup"), not of $setup; choose another --out" >&2
  exit 2
fi

train() {  # NAME, options...: a run
  "$program" train --data "$data" --model "$model" --imgsz "$size" --epochs "$epochs" --precision f32 --threads 1 \
    --workers 0 --project "$out/runs" --name "$@" >"$out/log" 2>&1 </dev/null
}

# The last epoch's figures; the columns are found by their names.
figures() {  # CSV
  awk -F, 'NR == 1 { for (i = 1; i <= NF; ++i) at[$i] = i; next } { last = $0 }
    END { a = at["metrics/mAP_0.5"]; b = at["metrics/mAP_0.5:0.95"]; split(last, v, ",")
          if (!a || !b || v[a] == "") exit 1
          printf "%.3f|%.3f\n", v[a], v[b] }' "$1"
}

lines=()
while IFS= read -r line; do
  case $line in ''|'#'*) ;; *) lines+=("$line") ;; esac
done <"$list"

first=$out/first.h5  # the weights that the first line's training leaves
number=0
for line in "${lines[@]}"; do
  number=$((number + 1))
  grep -qF "|$line|" "$out/results" && continue
  name=$(printf 'run%02d' $number)
  run=$out/runs/$name
  rm -rf "$run"
  read -ra options <<<"${line//FIRST/$first}"
  echo "$number of ${#lines[@]}: $line" >&2
  if ! train "$name" "${options[@]}" || ! result=$(figures "$run/results.csv"); then
    echo "error: $line" >&2
    tail -n 5 "$out/log" >&2
    exit 1
  fi
  [ $number -gt 1 ] || cp "$run/weights/last.h5" "$first"
  rm -rf "$run/weights"
  echo "|$line|$result|" >>"$out/results"
done

{
  echo '| options | mAP50 | mAP50-95 |'
  echo '|---|---|---|'
  for line in "${lines[@]}"; do
    grep -F "|$line|" "$out/results" | awk -F'|' '{ printf "| `%s` | %s | %s |\n", $2, $3, $4 }'
  done
} >"$out/table.md"
cat "$out/table.md"
