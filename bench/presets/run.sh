#!/bin/bash
# Which targets and loss train best in a given time? Trains every option set of sets.txt for as long as the others and
# judges it; then the best two again, larger, longer and from several seeds, beside the notes'. One run at a time.
#
#   bench/presets/run.sh --data D [--out build/presets] [--sets FILE] [--only NAME,NAME,...] [--dry-run]
#                        [--size 320] [--minutes 25] [--seed 0]
#                        [--finalists 2] [--final-size 416] [--final-minutes 45] [--seeds 0,1,2]
#                        [--epochs N] [--final-epochs N] [--stage both|screen|final]
#                        [--model yolov3] [--batch 8] [--threads 0] [--program build/release/yolov3]
#
# Ctrl-C or SIGTERM stops it; the same line goes on where it stopped, in the middle of a run too. What is done is in
# OUT/results, a line a run; OUT/table.md is written after each. The finals' weights stay in OUT/runs. Judged is last.h5, by
# `yolov3 eval` at its defaults; the finalists are chosen by val mAP50, never by the test split. Nothing is validated between
# the epochs, so a minute is one of training, as results.csv counts it: a pause costs nothing. Without --time in the program
# the epochs are chosen by the second of two epochs of that set. --dry-run: yolov3-tiny, small and short, to see that
# everything works; its figures mean nothing.
# Run it on a quiet machine. Where others use it too, --epochs and --final-epochs give all sets equally many epochs in place
# of minutes: targets and loss are under 1% of a step, so that the epochs of a quiet machine's minutes are the same
# experiment. Then several may go on side by side, each on a core of its own with --threads 1: first with --stage screen
# and its own --only A,B, after them with --stage final and its own --seeds, or --only for a part of one seed's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
data='' out=$root/build/presets sets=$here/sets.txt only='' size=320 minutes=25 seed=0 finalists=2 final_size=416
final_minutes=45 epochs='' final_epochs='' seeds=0,1,2 model=yolov3 batch=8 threads=0
program=$root/build/release/yolov3 stage=both
usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case "$1" in
    --dry-run) model=yolov3-tiny size=96 final_size=128 minutes=0.2 final_minutes=0.3 seeds=0,1; shift ;;
    --data|--out|--sets|--only|--size|--minutes|--seed|--finalists|--final-size|--final-minutes|--epochs|--final-epochs|\
    --seeds|--model|--batch|--threads|--program|--stage)
      name=${1#--}; declare "${name//-/_}=${2:?$1 needs a value}"; shift 2 ;;
    *) usage ;;
  esac
done
[[ $stage =~ ^(both|screen|final)$ ]] || usage
[ -n "$data" ] || { echo "--data: which data set?" >&2; usage; }
[ -x "$program" ] || { echo "$program: not there; cmake --preset release && cmake --build build/release --target yolov3" >&2; exit 1; }
mkdir -p "$out/runs" "$out/results" "$out/logs"

# ---- the option sets: names in their order, and options by name
names=()
declare -A options
while IFS= read -r line; do
  line=${line%%#*}
  [ -n "${line// /}" ] || continue
  [[ $line == *:* ]] || { echo "$sets: expected NAME: options, found \"$line\"" >&2; exit 2; }
  name=${line%%:*}
  [[ $name =~ ^[A-Za-z0-9._-]+$ ]] || { echo "$sets: \"$name\" is no name for a folder" >&2; exit 2; }
  [ -z "${options[$name]+x}" ] || { echo "$sets: $name is there twice" >&2; exit 2; }
  read -r "options[$name]" <<<"${line#*:}"
  if [ -z "$only" ] || [ "$name$stage" = notesboth ] || [[ ",$only," == *",$name,"* ]]; then names+=("$name"); fi
done < "$sets"
[ -n "${options[notes]+x}" ] || { echo "$sets: has no set \"notes\" to judge the others by" >&2; exit 2; }
for name in ${only//,/ }; do
  [ -n "${options[$name]+x}" ] || { echo "--only $name: $sets has no such set" >&2; exit 2; }
done

# ---- one program at a time, stopped with us
child='' stopped=''
exec 3>&2  # where people look, whatever goes into a log
trap 'stopped=1; if [ -n "$child" ]; then kill -TERM "$child" 2>/dev/null; fi' INT TERM HUP
attend() {  # COMMAND...: its status; a signal is passed on, and waited for
  local status=0
  "$@" &
  child=$!
  if [ -n "$stopped" ]; then kill -TERM "$child" 2>/dev/null || true; fi  # it came while no program ran
  wait "$child" || status=$?
  while kill -0 "$child" 2>/dev/null; do status=0; wait "$child" || status=$?; done
  child=''
  if [ -n "$stopped" ]; then echo "stopped; the same line goes on" >&3; exit 130; fi
  return $status
}

has_time=''
if "$program" train --help | grep -q -- '^  --time '; then has_time=1; fi

last_time() { tail -n 1 "$1" | cut -d, -f2; }
epochs_of() { grep -c '^[0-9]' "$1"; }

train() {  # LOG, options...: a run, with the options that all have
  local log=$1
  shift
  if ! attend "$program" train --data "$data" --model "$model" --batch "$batch" --threads "$threads" \
      --project "$out/runs" --val false "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "failed: yolov3 train $*; $log" >&2
    exit 1
  fi
}

# How long to train: --time, or the epochs that fit into it.
budget() {  # STAGE, NAME, SIZE, MINUTES; sets $length
  local fixed=$epochs
  [ "$1" = screen ] || fixed=$final_epochs
  shift
  if [ -n "$fixed" ]; then length=(--epochs "$fixed"); return; fi
  if [ -n "$has_time" ]; then
    length=(--time "$(awk -v m="$3" 'BEGIN { printf "%ds", m * 60 }')")
    return
  fi
  local probe=probe-$1-$2 csv words
  csv=$out/runs/$probe/results.csv
  if [ ! -f "$csv" ] || [ "$(epochs_of "$csv")" -lt 2 ]; then
    rm -rf "$out/runs/$probe"
    read -ra words <<<"${options[$1]}"
    train "$out/logs/$probe.log" "${words[@]}" --imgsz "$2" --seed 0 --epochs 2 --name "$probe"
    rm -rf "$out/runs/$probe/weights"
  fi
  length=(--epochs "$(awk -F, -v m="$3" '/^[0-9]/ { before = now; now = $2 }
    END { n = int(m * 60 / (now - before) + 0.5); print n < 1 ? 1 : n }' "$csv")")
}

figure() { sed -n 's/.*"'"$1"'":\([0-9.e+-]*\).*/\1/p' <<<"$2"; }

judge() {  # WEIGHTS, SPLIT, LOG: mAP50 and mAP50-95, "- -" where there is no such split
  local json=${3%.log}.json text
  rm -f "$json"
  if ! attend "$program" eval --weights "$1" --data "$data" --split "$2" --threads "$threads" --json "$json" >>"$3" 2>&1
  then
    if [ "$2" != test ]; then tail -n 20 "$3" >&2; exit 1; fi
    figures='- -'
    return
  fi
  text=$(tr -d ' \n' <"$json" | sed 's/.*"coco":{\([^}]*\)}.*/\1/')
  figures="$(figure AP50 "$text") $(figure AP "$text")"
}

# OUT/results/STAGE-NAME-SEED: name, size, minutes, seed, epochs, seconds, val mAP50, mAP50-95, test mAP50, mAP50-95
run() {  # STAGE, NAME, SIZE, MINUTES, SEED
  local id=$1-$2-$5 length=() words val
  local result=$out/results/$id folder=$out/runs/$id log=$out/logs/$id.log
  [ -f "$result" ] && return
  echo "$(date +%H:%M) $id: $3 px, $4 min ${options[$2]}" >&2
  if [ -f "$folder/args.toml" ]; then
    train "$log" --config "$folder/args.toml" --name "$id" --resume
  else
    rm -rf "$folder"  # without args.toml nothing has begun
    budget "$1" "$2" "$3" "$4"
    read -ra words <<<"${options[$2]}"
    train "$log" "${words[@]}" --imgsz "$3" --seed "$5" "${length[@]}" --name "$id"
  fi
  if grep -q 'to go on: yolov3 train' "$log"; then echo "$id was stopped; the same line goes on" >&2; exit 130; fi
  judge "$folder/weights/last.h5" val "$log"
  val=$figures
  judge "$folder/weights/last.h5" test "$log"
  echo "$2 $3 $4 $5 $(epochs_of "$folder/results.csv") $(last_time "$folder/results.csv") $val $figures" >"$log.result"
  mv "$log.result" "$result"
  rm -f "$folder/weights/best.h5" "$folder/weights/last.prev.h5"
  [ "$1" = final ] || rm -rf "$folder/weights"  # three quarters of a gigabyte a run
  table
}

lines_of() { local files=("$out/results/$1-"*); [ -f "${files[0]}" ] && grep -hv '^$' "${files[@]}"; true; }

# The best of the screening by val mAP50, notes aside.
choose_finalists() { lines_of screen | awk '$1 != "notes"' | sort -k7,7gr -s | head -n "$finalists" | cut -d' ' -f1; }

long() { if [ -n "$1" ]; then echo "$1 epochs"; else echo "$2 min"; fi; }  # EPOCHS, MINUTES

told() { if [ -n "${options[$1]}" ]; then echo "\`${options[$1]}\`"; else echo 'the defaults'; fi; }

table() {
  {
    echo "Screening: $model, $size px, $(long "$epochs" "$minutes") each, seed $seed, batch $batch; last.h5 by \`yolov3 eval\`."
    echo
    echo '| set | options | epochs | min | val mAP50 | mAP50-95 | test mAP50 | mAP50-95 |'
    echo '|---|---|---|---|---|---|---|---|'
    lines_of screen | sort -k7,7gr -s | while read -r name _ _ _ trained seconds v50 v t50 t; do
      awk -v n="$name" -v o="$(told "$name")" -v e="$trained" -v s="$seconds" -v a="$v50" -v b="$v" -v c="$t50" -v d="$t" '
        function f(x) { return x == "-" ? x : sprintf("%.3f", x) }
        BEGIN { printf "| %s | %s | %d | %.1f | %s | %s | %s | %s |\n", n, o, e, s / 60, f(a), f(b), f(c), f(d) }'
    done
    if [ -n "$(lines_of final)" ]; then
      echo
      echo "The best $finalists and the notes': $final_size px, $(long "$final_epochs" "$final_minutes"), seeds $seeds; mean ± standard deviation."
      echo
      echo '| set | runs | val mAP50 | mAP50-95 | test mAP50 | mAP50-95 | test mAP50 of each |'
      echo '|---|---|---|---|---|---|---|'
      lines_of final | sort -k1,1 -k4,4n | awk '
        function add(i, x) { if (x == "-") none[$1, i] = 1; sum[$1, i] += x; square[$1, i] += x * x }
        function f(n, i,  m, v) {
          if (none[n, i]) return "-"
          m = sum[n, i] / runs[n]
          v = runs[n] > 1 ? (square[n, i] - runs[n] * m * m) / (runs[n] - 1) : 0
          return runs[n] > 1 ? sprintf("%.3f ± %.3f", m, sqrt(v > 0 ? v : 0)) : sprintf("%.3f", m)
        }
        { runs[$1]++; for (i = 7; i <= 10; ++i) add(i, $i)
          each[$1] = each[$1] (runs[$1] > 1 ? " " : "") ($9 == "-" ? $9 : sprintf("%.3f", $9)) }
        END { for (n in runs) printf "| %s | %d | %s | %s | %s | %s | %s |\n", n, runs[n], f(n, 7), f(n, 8), f(n, 9),
              f(n, 10), each[n] }' | sort
    fi
  } >"$out/table.md.$$"
  mv "$out/table.md.$$" "$out/table.md"
}

awk -v n=${#names[@]} -v m="$minutes" -v f="$finalists" -v g="$final_minutes" -v s="$(echo "${seeds//,/ }" | wc -w)" \
  'BEGIN { printf "%d sets of %g min, then %d of %g min: %.1f hours of training in all\n", n, m, (f + 1) * s, g,
           (n * m + (f + 1) * s * g) / 60 }' >&2
[ "$stage" = final ] || for name in "${names[@]}"; do run screen "$name" "$size" "$minutes" "$seed"; done
if [ "$stage" = screen ]; then table; exit; fi
mapfile -t chosen < <(choose_finalists)
for final_seed in ${seeds//,/ }; do  # seed by seed, so that what is there is always comparable
  for name in notes "${chosen[@]}"; do
    [ "$stage" = both ] || [ -z "$only" ] || [[ ",$only," == *",$name,"* ]] || continue
    run final "$name" "$final_size" "$final_minutes" "$final_seed"
  done
done
table
cat "$out/table.md"
