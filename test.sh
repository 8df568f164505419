#!/bin/bash
# Installs what is missing, builds, and runs the tests.
#
#   ./test.sh         release: all tests; parsers and formats again under ASan+UBSan; the build without LibTorch
#   ./test.sh asan    every room under ASan+UBSan, slow tests included
#   ./test.sh tsan    the threads: loader, queues and progress under ThreadSanitizer
#   ./test.sh fuzz    every parser against libFuzzer, 60 s each (FUZZ_SECONDS=600 for more)
#   ./test.sh long    the slow tests and the whole demonstration
#
# Logs are in build/logs. The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")"
. tools/steps.sh

passed=0 failed=0 skipped=0
parser_rooms='base|image|net|data|format|detect|eval|app'

# tests NAME "title" BUILD_DIR [ctest options...]: runs and counts them.
tests() {
  local name=$1 title=$2 folder=$3
  shift 3
  local results=$(realpath -m "$logs")/$name.xml
  rm -f "$results"
  if ! step "$name" "$title" ctest --test-dir "$folder" --output-on-failure --no-tests=error -j 2 \
      --output-junit "$results" "$@"; then
    grep -E '^\s+[0-9]+ - .*(Failed|Timeout|Not Run|Subprocess|SEGFAULT|Exception)' "$logs/$name.log" || true
  fi
  count "$results"
}

# Adds a JUnit file of ctest to the counts; none = the tests did not even begin.
count() {
  if [ ! -s "$1" ]; then failed=$((failed + 1)); return; fi
  local head all bad=0 out=0 n
  head=$(tr '\n\t' '  ' <"$1" | grep -oE '<testsuite [^>]*>' | head -n 1)
  number() { grep -oE " $1=\"[0-9]+\"" <<<"$head" | grep -oE '[0-9]+'; }
  all=$(number tests)
  bad=$(number failures)
  if [ -z "$all" ] || [ -z "$bad" ]; then echo "$1: no counts in it"; failed=$((failed + 1)); return; fi
  for n in $(number skipped) $(number disabled); do out=$((out + n)); done
  passed=$((passed + all - bad - out)) failed=$((failed + bad)) skipped=$((skipped + out))
}

must() { if ! "$@"; then failed=$((failed + 1)); finish; fi; }

finish() {
  [ $skipped -gt 0 ] && echo "$skipped skipped (their logs in $logs say why)"
  echo "$passed passed, $failed failed"
  [ $failed -eq 0 ] && [ $passed -gt 0 ]
  exit
}

test_programs() { printf '%s_test ' ${parser_rooms//|/ }; }

everything() {
  must step release-build 'release: build' build release
  tests release 'release: tests' build/release
  if step asan-build 'ASan+UBSan: build of parsers and formats' build asan $(test_programs); then
    tests asan 'ASan+UBSan: tests of parsers and formats' build/asan -L fast -R "^($parser_rooms)\\."
  else
    failed=$((failed + 1))
  fi
  if step deploy-build 'without LibTorch: build' build deploy yolov3 app_test; then
    tests deploy 'without LibTorch: detects' build/deploy -R '^(app\.|deploy)'
  else
    failed=$((failed + 1))
  fi
}

sanitize_address() {
  must step asan-build 'ASan+UBSan: build' build asan
  tests asan 'ASan+UBSan: tests' build/asan
}

# OpenMP's own barriers are unknown to ThreadSanitizer: one thread there, many of ours.
sanitize_threads() {
  must step tsan-build 'ThreadSanitizer: build' build tsan $(test_programs)
  export OMP_NUM_THREADS=1
  tests tsan 'ThreadSanitizer: tests' build/tsan -L fast -R "^($parser_rooms)\\."
}

fuzz() {
  must tools/install_packages.sh fuzz
  must step fuzz-build 'fuzzers: build' build fuzz fuzzers
  must step fuzz-seeds 'fuzzers: seeds' build/fuzz/tools/fuzz/make_seeds build/fuzz/corpus
  local program target corpus seconds=${FUZZ_SECONDS:-60}
  for program in build/fuzz/tools/fuzz/fuzz_*; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    target=$(basename "$program")
    corpus=build/fuzz/corpus/$target
    mkdir -p "$corpus"
    if step "$target" "$target: $seconds s" "$program" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=60 \
        -artifact_prefix="build/fuzz/$target-" "$corpus"; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
    fi
  done
}

long() {
  must step release-build 'release: build' build release
  tests slow 'release: slow tests' build/release -L slow
  if step demo 'the demonstration' ./demo.sh; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

case "${1:-}" in
  ''|asan|tsan|fuzz|long) ;;
  *) echo "usage: ./test.sh [asan|tsan|fuzz|long]" >&2; exit 2 ;;
esac
must tools/install_packages.sh
case "${1:-}" in
  '') everything ;;
  asan) sanitize_address ;;
  tsan) sanitize_threads ;;
  *) "$1" ;;
esac
finish
