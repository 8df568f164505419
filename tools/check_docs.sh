#!/bin/bash
# Checks README.md, ARCHITECTURE.md and docs/: every file that they link to is there, and no NAME_OF_A_FIGURE was left
# where a figure should be.
#
#   tools/check_docs.sh [ROOT]        checks ROOT (default: the folder above this script's)
#   tools/check_docs.sh --self-test   plants both faults and sees whether they are found
set -euo pipefail

check() {
  local bad=0 file link
  cd "$1"
  for file in README.md ARCHITECTURE.md docs/*.md; do
    [ -f "$file" ] || continue
    # Not in code: `spans`, indented and fenced lines.
    awk '/^```/ { fenced = !fenced } !fenced && !/^    / { gsub(/`[^`]*`/, ""); print FILENAME ":" FNR ": " $0 }' "$file" |
      grep -E '[^A-Za-z_][A-Z]{3,}(_[A-Z]{2,})+([^A-Za-z_]|$)' && bad=1
    while read -r link; do
      [ -e "$(dirname "$file")/$link" ] || { echo "$file: $link is not there"; bad=1; }
    done < <(grep -o '](\([^)#]*\)' "$file" | sed 's/^](//' | grep -v -e '^$' -e '^[a-z]*:' | sort -u)
  done
  return $bad
}

if [ "${1:-}" = --self-test ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  mkdir "$folder/docs"
  printf '# Sound\n\n[it](docs/a.md) [out](https://example.org/x) `AN_OPTION=1` A_B\n\n    MAKE_VERBOSE=1 make\n' >"$folder/README.md"
  printf '[back](../README.md#sound)\n' >"$folder/docs/a.md"
  (check "$folder") || { echo "a sound folder is refused"; exit 1; }
  printf 'It takes BUILD_TIMES\n' >"$folder/docs/b.md"
  (check "$folder" || true) | grep -q 'docs/b.md:1: It takes BUILD_TIMES' || { echo "a name in place of a figure is not found"; exit 1; }
  printf '![gone](pictures/gone.jpg)\n' >"$folder/docs/b.md"
  (check "$folder" || true) | grep -q 'docs/b.md: pictures/gone.jpg is not there' || { echo "a missing picture is not found"; exit 1; }
  echo "both faults are found"
  exit 0
fi
check "${1:-$(dirname "$0")/..}"
