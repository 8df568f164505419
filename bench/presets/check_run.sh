#!/bin/bash
# Checks run.sh with a program that trains and judges at once, and says what everyone expects of it: the epochs that fit
# the time, the finalists, the table, and that a stopped experiment goes on where it stopped.
# shellcheck disable=SC2016  # the table's backticks
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
wrong=0
is() { [ "$2" = "$3" ] || { echo "$1: expected \"$3\", got \"$2\""; wrong=1; }; }
has() { grep -qF -- "$2" "$1" || { echo "$1 lacks \"$2\":"; cat "$1"; wrong=1; }; }

# An epoch takes 50 s the first time, then 30 s. mAP50 is what `figures` says of the set; on the test split 0.01 less.
cat >program <<'PROGRAM'
#!/bin/bash
echo "$*" >>"$FOLDER/calls"
command=$1 name='' project='' epochs=5 weights='' split='' json='' resume='' time=''
shift
if [ "${1:-}" = --help ]; then
  echo '  --epochs N'
  [ -z "${HAS_TIME:-}" ] || echo '  --time T'
  exit
fi
while [ $# -gt 0 ]; do
  case "$1" in
    --resume) resume=1; shift ;;
    --name|--project|--epochs|--weights|--split|--json|--time) declare "${1#--}=$2"; shift 2 ;;
    *) shift ;;
  esac
done
if [ "$command" = train ]; then
  run=$project/$name
  mkdir -p "$run/weights"
  if [ -n "$resume" ]; then epochs=$(cat "$run/args.toml"); else echo "$epochs" >"$run/args.toml"; fi
  if [ "$name" = "${STOP_AT:-}" ] && [ -z "$resume" ]; then
    trap 'echo "to go on: yolov3 train --config"; exit 0' TERM
    touch "$FOLDER/waiting"
    while true; do sleep 0.05; done
  fi
  [ "$name" != "${FAIL_AT:-}" ] || { echo 'error: it is broken'; exit 1; }
  echo 'epoch,time,train/box_loss' >"$run/results.csv"
  for ((i = 0; i < epochs; ++i)); do echo "$i,$((50 + 30 * i)),1" >>"$run/results.csv"; done
  echo "$name" >"$run/weights/last.h5"
  exit
fi
if [ "$split" = test ] && [ -n "${NO_TEST:-}" ]; then exit 2; fi
set_name=$(sed 's/^[a-z]*-//; s/-[0-9]*$//' "$weights") seed=$(sed 's/.*-//' "$weights")
awk -v n="$set_name" -v s="$seed" -v t="$split" '$1 == n { x = $2 + 0.02 * s - (t == "test" ? 0.01 : 0)
  printf "{\"images\": 3, \"coco\": {\"AP\": %.3f, \"AP50\": %.3f, \"AP75\": 0.5},\n \"voc\": {\"AP50_area\": 1}}\n", x / 2, x }' \
  "$FOLDER/figures" >"$json"
PROGRAM
chmod +x program
export FOLDER=$folder
printf 'notes 0.8\nciou 0.85\nfree 0.83\nbest 0.7\n' >figures
printf '# sets\nnotes:\nbest: --matching best --anchor-fit shape\nciou: --box-loss ciou # of boxes\nfree: --collision free\n' >sets
arguments=(--data d --program ./program --sets sets --minutes 2 --final-minutes 3 --seeds "0,2")
go() { "$here/run.sh" "${arguments[@]}" --out "$@" >out 2>&1; }

# ---- the whole way
go a || { echo 'run.sh failed'; cat out; wrong=1; }
is 'epochs of 30 s in 2 minutes' "$(cut -d' ' -f5 a/results/screen-ciou-0)" 4
is 'a result' "$(cat a/results/final-ciou-2)" 'ciou 416 3 2 6 200 0.890 0.445 0.880 0.440'
is 'finals' "$(cd a/results && echo final-*)" 'final-ciou-0 final-ciou-2 final-free-0 final-free-2 final-notes-0 final-notes-2'
has a/table.md '| ciou | `--box-loss ciou` | 4 | 2.3 | 0.850 | 0.425 | 0.840 | 0.420 |'
has a/table.md '| notes | the defaults | 4 | 2.3 | 0.800 | 0.400 | 0.790 | 0.395 |'
has a/table.md '| ciou | 2 | 0.870 ± 0.028 | 0.435 ± 0.014 | 0.860 ± 0.028 | 0.430 ± 0.014 | 0.840 0.880 |'
is 'order of the screening' "$(awk -F '[| ]+' '/^\|/ && $2 ~ /^(ciou|free|notes|best)$/ { printf "%s ", $2 }' a/table.md)" \
  'ciou free notes best ciou free notes '
is 'the options of a set' "$(grep -c -- '^train .*--matching best --anchor-fit shape --imgsz 320 --seed 0 --epochs 4 --name screen-best-0$' calls)" 1
if [ -e a/runs/screen-ciou-0/weights ] || [ ! -e a/runs/final-ciou-0/weights/last.h5 ]; then
  echo 'weights: the finals alone are kept'; wrong=1
fi
before=$(wc -l <calls)
go a && is 'calls when all is done' "$(($(wc -l <calls) - before))" 1  # train --help

# ---- stopped in the middle of a run
STOP_AT=screen-ciou-0 "$here/run.sh" "${arguments[@]}" --out b >out 2>&1 &
script=$!
for ((i = 0; i < 200; ++i)); do [ -e waiting ] && break; sleep 0.05; done
kill -TERM $script
wait $script
is 'the status of a stopped one' $? 130
has out 'the same line goes on'
[ ! -e b/results/screen-ciou-0 ] || { echo 'a stopped run has no result'; wrong=1; }
STOP_AT=screen-ciou-0 go b || { echo 'it did not go on'; cat out; wrong=1; }
is 'resumed' "$(grep -c -- '--config b/runs/screen-ciou-0/args.toml --name screen-ciou-0 --resume$' calls)" 1
is 'only those left' "$(grep -c -- '--name screen-best-0$' calls)" 2  # of a and of b
cmp a/table.md b/table.md || wrong=1

# ---- stopped between two programs: by the mv that puts the first run's table in its place
mkdir tools
printf '#!/bin/bash\n/bin/mv "$@"\n[[ $* != *table.md* ]] || kill -TERM $PPID\n' >tools/mv
chmod +x tools/mv
PATH=$folder/tools:$PATH HAS_TIME=1 STOP_AT=screen-best-0 timeout 60 "$here/run.sh" "${arguments[@]}" --out k >out 2>&1
is 'the status of one stopped between programs' $? 130
is 'what it had done' "$(cd k/results && echo *)" screen-notes-0

# ---- other ways
HAS_TIME=1 go c --only ciou || { cat out; wrong=1; }
is 'with --time' "$(grep -c -- '--time 120s --name screen-ciou-0$' calls)" 1
is 'no probe with --time' "$(cd c/runs && echo probe-*)" 'probe-*'
is 'only two sets' "$(cd c/results && echo screen-*)" 'screen-ciou-0 screen-notes-0'
go h --only ciou --epochs 3 --final-epochs 5 || { cat out; wrong=1; }
is 'epochs as they are given' "$(cut -d' ' -f5 h/results/screen-ciou-0 h/results/final-ciou-2 | xargs)" '3 5'
has h/table.md '320 px, 3 epochs each'
has h/table.md '416 px, 5 epochs, seeds'
if ! go i --stage screen --only ciou,best; then cat out; wrong=1; fi
is 'a part of the screening' "$(cd i/results && echo *)" 'screen-best-0 screen-ciou-0'
if ! go i --stage screen || ! go i --stage final; then cat out; wrong=1; fi
if ! go j --stage screen || ! go j --stage final --seeds 2 --only ciou,best; then cat out; wrong=1; fi
is 'a part of the finals, best being none' "$(cd j/results && echo final-*)" final-ciou-2
is 'the stages one by one' "$(cmp a/table.md i/table.md && echo same)" same
NO_TEST=1 go d --only free || { cat out; wrong=1; }
has d/table.md '| free | `--collision free` | 4 | 2.3 | 0.830 | 0.415 | - | - |'
FAIL_AT=screen-free-0 go e && { echo 'a failed run passed'; wrong=1; }
has out 'error: it is broken'
go f --only fre && { echo 'an unknown set passed'; wrong=1; }
has out 'has no such set'
printf 'best: --matching best\n' >none
"$here/run.sh" --data d --program ./program --sets none --out g >out 2>&1 && { echo 'sets without notes passed'; wrong=1; }
has out 'has no set "notes"'
[ $wrong -eq 0 ] && echo 'presets: the whole way, a stop and the odd ways judged right'
exit $wrong
