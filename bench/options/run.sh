#!/bin/bash
# What does each option of training do, at least, and at once? Trains a small network with one option after the other and
# writes a table of what it reaches on the validation split. It shows that each trains and how unlike it begins; which is
# best in the end takes longer trainings (bench/presets).
#
#   bench/options/run.sh --data D [--out build/options] [--options FILE] [--epochs 10] [--size 128] [--model yolov3-tiny]
#                        [--program build/release/yolov3]
#
# One thread, f32, no loader threads: the same line gives the same bits. What is done is in OUT/results, a line a run, and
# is not done again; OUT/table.md is the table.
set -euo pipefail
cd "$(dirname "$0")/../.."
data='' out=build/options list=bench/options/options.txt epochs=10 size=128 model=yolov3-tiny program=build/release/yolov3
usage() { sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//'; exit "$1"; }
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

number=0 first=''
while IFS= read -r line; do
  case $line in ''|'#'*) continue ;; esac
  number=$((number + 1))
  name=$(printf 'run%02d' $number)
  run=$out/runs/$name
  [ -n "$first" ] || first=$run/weights/last.h5
  grep -qF "|$line|" "$out/results" && continue
  rm -rf "$run"
  read -ra options <<<"${line//FIRST/$first}"
  echo "$line" >&2
  if ! "$program" train --data "$data" --model "$model" --imgsz "$size" --epochs "$epochs" --precision f32 --threads 1 \
      --workers 0 --project "$out/runs" --name "$name" "${options[@]}" >"$out/log" 2>&1; then
    echo "error: $line" >&2
    tail -n 5 "$out/log" >&2
    exit 1
  fi
  # The columns are found by their names.
  awk -F, -v line="$line" 'NR == 1 { for (i = 1; i <= NF; ++i) at[$i] = i; next } { row = $0 }
    END { split(row, v, ","); printf "|%s|%.3f|%.3f|\n", line, v[at["metrics/mAP_0.5"]], v[at["metrics/mAP_0.5:0.95"]] }' \
    "$run/results.csv" >>"$out/results"
  [ "$run/weights/last.h5" = "$first" ] || rm -rf "$run/weights"
done <"$list"

{
  echo '| options | mAP50 | mAP50-95 |'
  echo '|---|---|---|'
  awk -F'|' '{ printf "| `%s` | %s | %s |\n", $2, $3, $4 }' "$out/results"
} >"$out/table.md"
cat "$out/table.md"
