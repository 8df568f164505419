#!/bin/bash
# Installs what packages.txt names and this system lacks, with apt-get (as root or through sudo). Quiet: the log is
# build/logs/packages.log.
#
#   tools/install_packages.sh           what building, the demonstration and all tests but the page's need
#   tools/install_packages.sh test      only what ./test.sh needs beside that
#   tools/install_packages.sh deploy    only what a build without LibTorch needs
#   tools/install_packages.sh fuzz      only what the fuzzers need beside that
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/logs
log=build/logs/packages.log

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "packages: this is no Debian (apt-get is missing); install by hand what packages.txt names, as Debian 12 has it" >&2
  exit 1
fi

missing=()
while read -r name kind; do
  case "$name" in ''|'#'*) continue ;; esac
  case "${1:-}" in
    '') case "$kind" in test|fuzz|dev) continue ;; esac ;;
    *) [ "$kind" = "$1" ] || continue ;;
  esac
  installed "$name" || missing+=("$name")
done < packages.txt
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "packages: neither root nor sudo; ask an administrator for: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "packages: installing ${missing[*]}"
fetch() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "$@" -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 >>"$log" 2>&1
}
: >"$log"
fetch -q update || echo "packages: apt-get update failed ($log); trying with the lists that are here" >&2
if ! fetch -q install -y --no-install-recommends "${missing[@]}"; then
  echo "packages: apt-get could not install: ${missing[*]}" >&2
  echo "the last lines of $log:" >&2
  tail -n 15 "$log" >&2
  exit 1
fi
