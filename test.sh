#!/bin/bash
# Installs what is missing, builds, and runs the tests.
#
#   ./test.sh         release: all tests; parsers and formats again under ASan+UBSan; the build without LibTorch
#   ./test.sh asan    every room but what needs LibTorch under ASan+UBSan, slow tests included
#   ./test.sh tsan    the threads: loader, queues and progress under ThreadSanitizer
#   ./test.sh fuzz    every parser against libFuzzer, 60 s each (FUZZ_SECONDS=600 for more)
#   ./test.sh long    the slow tests and the whole demonstration
#
# Logs are in build/logs. The last line is "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$0")"
. tools/steps.sh

passed=0 failed=0 skipped=0

# tests NAME "title" BUILD_DIR [ctest options...]: runs and counts them.
tests() {
  local name=$1 title=$2 folder=$3 status=0 good bad out
  shift 3
  local results=$(realpath -m "$logs")/$name.xml
  rm -f "$results" "$folder"/gtest/*.xml
  step "$name" "$title" ctest --test-dir "$folder" --output-on-failure --no-tests=error -j "$(nproc)" \
    --output-junit "$results" "$@" || status=1
  if [ $status -ne 0 ]; then
    grep -E '^\s+[0-9]+ - .*(Failed|Timeout|Not Run|Subprocess|SEGFAULT|Exception)|^\[  FAILED  \]' "$logs/$name.log" || true
  fi
  read -r good bad out <<<"$(tools/count_tests.sh "$results" "$folder/gtest")"
  # What cannot be counted, and a failure that no count shows, are failures.
  if ! [[ "$good $bad $out" =~ ^[0-9]+\ [0-9]+\ [0-9]+$ ]]; then good=0 bad=1 out=0; fi
  if [ $status -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
  echo "$title: $good passed, $bad failed, $out skipped"
  passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + out))
}

# one NAME "title" COMMAND...: a step that is a test by itself.
one() { if step "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi; }

must() { if ! "$@"; then failed=$((failed + 1)); finish; fi; }

finish() {
  [ $skipped -gt 0 ] && echo "skipped tests: their logs in $logs say why"
  echo "$passed passed, $failed failed, $skipped skipped"
  [ $failed -eq 0 ] && [ $passed -gt 0 ]
  exit
}

# A project of its own, which takes this one in as its library.
build_example() {
  cmake -S examples/find_objects -B build/example -G Ninja -DCMAKE_BUILD_TYPE=Release && cmake --build build/example
}

# Tests labelled "source" look at sources and scripts, so one build's run of them is enough.
everything() {
  must tools/install_packages.sh test
  must step release-build 'release: build' build release
  tests release 'release: tests' build/release
  local rooms=(base image net data format)  # those that read what a user brings
  if step asan-build 'ASan+UBSan: build of parsers and formats' build asan "${rooms[@]/%/_test}"; then
    tests asan 'ASan+UBSan: tests of parsers and formats' build/asan -L fast -LE source \
      -R "^($(IFS='|'; echo "${rooms[*]}"))\."
  else
    failed=$((failed + 1))
  fi
  if step deploy-build 'without LibTorch: build' build deploy yolov3 &&
    step example-build 'as a library: build of the example' build_example; then
    one deploy 'without LibTorch: detects as with it, the example too' \
      tools/check_deploy.sh build/deploy/yolov3 build/release/yolov3 build/example/find_objects
  else
    failed=$((failed + 1))
  fi
}

sanitize_address() {
  must step asan-build 'ASan+UBSan: build' build asan all_tests
  tests asan 'ASan+UBSan: tests' build/asan -LE source
}

# OpenMP's own barriers are unknown to ThreadSanitizer: one thread there, many of ours.
sanitize_threads() {
  must step tsan-build 'ThreadSanitizer: build' build tsan all_tests
  export OMP_NUM_THREADS=1 TSAN_OPTIONS="suppressions=$PWD/tools/tsan.supp"
  tests tsan 'ThreadSanitizer: tests' build/tsan -L fast -LE source
}

fuzz() {
  must tools/install_packages.sh fuzz
  must step fuzz-build 'fuzzers: build' build fuzz fuzzers
  must step fuzz-seeds 'fuzzers: seeds' build/fuzz/tools/fuzz/make_seeds build/fuzz/corpus
  local program target seconds=${FUZZ_SECONDS:-60}
  for program in build/fuzz/tools/fuzz/fuzz_*; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    target=$(basename "$program")
    one "$target" "$target: $seconds s" tools/fuzz/run.sh "$program" "$seconds" "build/fuzz/corpus/$target" \
      build/fuzz/findings
  done
}

# The demonstration fails by itself when its model is not as good as it must be.
long() {
  must tools/install_packages.sh test
  must step release-build 'release: build' build release
  tests slow 'release: slow tests' build/release -L slow
  one demo 'the demonstration' ./demo.sh
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
