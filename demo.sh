#!/bin/bash
# From nothing to a trained detector: installs what is missing, builds, makes the built-in pictures, trains the full
# YOLOv3 on them, evaluates it, and draws its boxes into pictures that it has never seen. May be run again.
#
#   ./demo.sh            5 to 8 minutes after the build on two cores with AVX512_BF16 or AMX
#   EPOCHS=4 ./demo.sh   any setting below can be changed like this
#
# Exit code 4: all went well, but the model finds less than it must (MIN_AP50).
set -euo pipefail
cd "$(dirname "$0")"
. tools/steps.sh

PICTURES=${PICTURES:-640}   # to train on; a fifth of that to validate, and as many held out
IMGSZ=${IMGSZ:-128}
EPOCHS=${EPOCHS:-8}
BATCH=${BATCH:-8}
MIN_AP50=${MIN_AP50:-0.75}  # on the validation pictures
LR=${LR:-1e-3}

program=build/release/yolov3
data=demo/data-$PICTURES

tools/install_packages.sh
step release-build 'build' build release

if [ ! -f "$data/data.yaml" ]; then
  rm -rf "$data"  # half of it, from a run that was stopped
  step demo-data "make $PICTURES pictures (and two fifths more)" "$program" data synth --out "$data" --count "$PICTURES" --seed 0
fi

# How long will it take? Two short runs that differ by two steps say it; runs and models of theirs are thrown away.
# They run in this shell, not in $(...), so that Ctrl-C reaches them: see tools/steps.sh.
seconds_of() {
  local from
  from=$(date +%s.%N)
  live "$program" train --data "synthetic:$1" --imgsz "$IMGSZ" --batch "$BATCH" --epochs 1 --val false \
    --project demo/estimate --name "$1" >>"$logs/demo-estimate.log" 2>&1 || return 1
  took=$(awk -v a="$from" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')
}
if ! "$program" info | grep -E '^features' | grep -Eq 'avx512_bf16|amx'; then
  echo "this CPU has no bf16 arithmetic, so training is slower than the usual 5 to 8 minutes; measuring how much ..."
  : >"$logs/demo-estimate.log"
  rm -rf demo/estimate
  if seconds_of "$BATCH" && short=$took && seconds_of $((3 * BATCH)); then
    awk -v s="$short" -v l="$took" -v n=$((PICTURES * EPOCHS / BATCH)) 'BEGIN {
      t = (l - s) / 2; if (t < 0.01) t = 0.01
      printf "estimate: %.1f s a step, %.0f minutes of training\n", t, t * n / 60 * 1.1 + 0.5 }'
  else
    echo "the estimate failed; see $logs/demo-estimate.log"
  fi
  rm -rf demo/estimate
fi

echo "training yolov3 at $IMGSZ px for $EPOCHS epochs of $PICTURES pictures"
# A mirrored digit is another sign, hence --flip 0. stderr stays the terminal's for the live line; results.csv is the log.
live "$program" train --data "$data/data.yaml" --model yolov3 --imgsz "$IMGSZ" --batch "$BATCH" --epochs "$EPOCHS" --lr0 "$LR" \
  --flip 0 --project demo/train --name exp >"$logs/demo-run.txt" || { echo "training FAILED; what it said is above"; exit 1; }
run=$(tail -n 1 "$logs/demo-run.txt")
best=$run/weights/best.h5

echo
echo "how good it is on the validation pictures (they chose the best epoch):"
"$program" eval --weights "$best" --data "$data/data.yaml" --split val --json "$run/val.json" 2>"$logs/demo-eval.log" ||
  { echo "evaluation FAILED:"; tail -n 20 "$logs/demo-eval.log"; exit 1; }

# "coco": {"AP": .., "AP50": NUMBER or null, ..
ap50=$(awk '/"coco"/ { coco = 1 } coco && /"AP50"/ { gsub(/[^0-9.e+-]/, "", $2); print $2; exit }' "$run/val.json")

rm -rf demo/detect  # of the demonstration before this one
step demo-detect 'detect on held-out pictures' "$program" detect --weights "$best" --source "$data/images/test" --out demo/detect --format json

cat <<END

The trained model       $best
Pictures with boxes     demo/detect/*.png     (and detections.jsonl)
Log of the training     $run/results.csv
Curves                  $run/loss.svg, $run/map.svg, or: tensorboard --logdir $run
Use it                  $program detect --weights $best --source YOUR_PICTURES/
END

if ! awk -v ap="${ap50:-0}" -v least="$MIN_AP50" 'BEGIN { exit !(ap + 0 >= least + 0) }'; then
  echo
  echo "AP50 on the validation pictures is ${ap50:-not measured}, expected at least $MIN_AP50: the model is not as good as it must be"
  exit 4
fi
