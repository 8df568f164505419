#!/bin/bash
# A deployment program must start where LibTorch was never installed.  tools/check_deploy.sh PROGRAM
set -euo pipefail
if ldd "$1" | grep -E 'libtorch|libc10|libgloo'; then
  echo "$1 is linked to the libraries above" >&2
  exit 1
fi
"$1" info
