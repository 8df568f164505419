#!/bin/bash
# From nothing to a trained detector: installs what is missing, builds, makes the built-in pictures, trains the full
# YOLOv3 on them, evaluates it, and draws its boxes into pictures that it has never seen. May be run again.
#
#   ./demo.sh            about 10 minutes after the build on two cores with AVX512_BF16
#   EPOCHS=4 ./demo.sh   any setting below can be changed like this
set -euo pipefail
cd "$(dirname "$0")"
. tools/steps.sh

PICTURES=${PICTURES:-240}   # to train on; a fifth of that to validate, and as many held out
IMGSZ=${IMGSZ:-160}
EPOCHS=${EPOCHS:-24}
BATCH=${BATCH:-8}
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
seconds_of() {
  local begin
  begin=$(date +%s.%N)
  "$program" train --data "synthetic:$1" --imgsz "$IMGSZ" --batch "$BATCH" --epochs 1 --val false \
    --project demo/estimate --name "$1" >>"$logs/demo-estimate.log" 2>&1 || return 1
  awk -v a="$begin" -v b="$(date +%s.%N)" 'BEGIN { print b - a }'
}
if ! "$program" info | grep -E '^features' | grep -Eq 'avx512_bf16|amx'; then
  echo "this CPU has no bf16 arithmetic, so training is slower than the usual 10 minutes; measuring how much ..."
  : >"$logs/demo-estimate.log"
  rm -rf demo/estimate
  if short=$(seconds_of "$BATCH") && long=$(seconds_of $((3 * BATCH))); then
    awk -v s="$short" -v l="$long" -v n=$((PICTURES * EPOCHS / BATCH)) 'BEGIN {
      t = (l - s) / 2; if (t < 0.01) t = 0.01
      printf "estimate: %.1f s a step, %.0f minutes of training\n", t, t * n / 60 * 1.1 + 0.5 }'
  else
    echo "the estimate failed; see $logs/demo-estimate.log"
  fi
  rm -rf demo/estimate
fi

echo "training yolov3 at $IMGSZ px for $EPOCHS epochs of $PICTURES pictures"
run=$("$program" train --data "$data/data.yaml" --model yolov3 --imgsz "$IMGSZ" --batch "$BATCH" --epochs "$EPOCHS" --lr0 "$LR" \
  --project demo/train --name exp 2> >(tee "$logs/demo-train.log" >&2)) ||
  { echo "training FAILED; the whole log is $logs/demo-train.log"; exit 1; }
run=$(tail -n 1 <<<"$run")
best=$run/weights/best.h5

echo
echo "how good it is on the validation pictures (they chose the best epoch):"
"$program" eval --weights "$best" --data "$data/data.yaml" --split val --json "$run/val.json" 2>"$logs/demo-eval.log" ||
  { echo "evaluation FAILED:"; tail -n 20 "$logs/demo-eval.log"; exit 1; }

rm -rf demo/detect  # of the demonstration before this one
step demo-detect 'detect on held-out pictures' "$program" detect --weights "$best" --source "$data/images/test" --out demo/detect --format json

cat <<END

The trained model       $best
Pictures with boxes     demo/detect/*.png     (and detections.jsonl)
Curves                  $run/loss.svg, $run/map.svg, or: tensorboard --logdir $run
Use it                  $program detect --weights $best --source YOUR_PICTURES/
END
