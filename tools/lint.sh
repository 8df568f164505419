#!/bin/bash
# clang-tidy over the sources that need no LibTorch (or over the files given), by the deploy preset's compile commands.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v clang-tidy >/dev/null || { echo "clang-tidy is missing: apt-get install clang-tidy" >&2; exit 1; }
cmake --preset deploy >/dev/null
if [ $# -gt 0 ]; then
  files=("$@")
else
  mapfile -t files < <(git ls-files --cached --others --exclude-standard 'src/*.cc' |
    grep -v -e '_test\.cc$' -e '^src/engine/torch_' -e '^src/train/')
fi
# The compile commands are g++'s; clang does not know all of its warnings.
printf '%s\0' "${files[@]}" | xargs -0 -n 4 -P "$(nproc)" clang-tidy -quiet -p build/deploy \
  --extra-arg=-Wno-unknown-warning-option --warnings-as-errors='*'
