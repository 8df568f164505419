#!/bin/bash
# Runs one fuzzer for a time and judges what it found.
#
#   tools/fuzz/run.sh PROGRAM SECONDS CORPUS ARTIFACTS [SEEDS...]
#
# Fails on any finding, but where HDF5 crashes or asks for too much by itself: its reader is not made for damaged files,
# which is why the program reads them in a child process (src/format/fenced_read.h). Those are told apart by the stack:
# HDF5's own code comes before any of ours.
set -uo pipefail
program=$1 seconds=$2 corpus=$3 artifacts=$4
shift 4
target=$(basename "$program")
mkdir -p "$corpus" "$artifacts"
words=(-max_total_time="$seconds" -rss_limit_mb=2048 -timeout=60 -artifact_prefix="$artifacts/$target-")
dictionary=$(dirname "$0")/$target.dict
[ -f "$dictionary" ] && words+=(-dict="$dictionary")
case $target in
  *keras*|*model*) ;;
  *) exec "$program" "${words[@]}" "$corpus" "$@" ;;
esac

# Do the frames before the first of ours have one of HDF5's?
hdf5_first() { sed '/ in yolov3::/,$d' | grep -q '^ *#[0-9]* 0x.*libhdf5'; }
# Is a report HDF5's own? Not where the memory that it tore was ours.
is_of_hdf5() {
  hdf5_first <<<"$1" || return 1
  if grep -q 'allocated by' <<<"$1"; then sed '1,/allocated by/d' <<<"$1" | hdf5_first; fi
}

export ASAN_OPTIONS=allocator_may_return_null=1  # HDF5 asks for what a damaged file says and lives with the answer no
rm -f "$artifacts/$target-"*
"$program" "${words[@]}" -fork=1 -ignore_crashes=1 -malloc_limit_mb=1048576 "$corpus" "$@"
ended=$?
wrong=0 of_hdf5=0
for finding in "$artifacts/$target-"*; do
  [ -f "$finding" ] || continue
  # Again by itself, with a limit that shows who asks for the memory.
  if stack=$("$program" -malloc_limit_mb=1024 -rss_limit_mb=0 -timeout=60 "$finding" 2>&1); then
    echo "$finding: not found again"
    wrong=1
  elif is_of_hdf5 "$stack"; then
    of_hdf5=$((of_hdf5 + 1))
    rm -f "$finding"
  else
    echo "$finding: not HDF5's own:"
    echo "$stack"
    wrong=1
  fi
done
echo "$target: $of_hdf5 crashes or too large requests inside HDF5, which the program fences"
case $ended in 0|71|72|77) ;; *) echo "$target: ended with $ended"; wrong=1 ;; esac
exit $wrong
