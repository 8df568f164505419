#!/bin/bash
# Counts test cases.  tools/count_tests.sh JUNIT.xml GTEST_FOLDER
#   prints "PASSED FAILED SKIPPED" of what ctest --output-junit wrote. A ctest test that is a whole gtest program
#   (ROOM.fast, ROOM.slow: see cmake/room.cmake) counts as the cases in its GTEST_FOLDER/NAME.xml.
#
# In doubt it is a failure: a test that did not run, a result that cannot be read, a program that failed although none
# of its cases did (it crashed, or ran out of time).
#
#   tools/count_tests.sh --self-test
set -uo pipefail

# "STATUS NAME" a test, STATUS one of pass, fail, skip.
statuses() {
  awk 'BEGIN { RS = "<" }
    function attribute(key) {
      if (!match($0, "[ \t\n]" key "=\"[^\"]*\"")) return ""
      return substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 4)
    }
    /^testcase[ \t\n]/ { name = attribute("name"); status = attribute("status") == "run" ? "pass" : "fail"
                         if (attribute("status") == "disabled") status = "skip" }
    /^failure/ { status = "fail" }
    /^skipped/ { if (attribute("message") ~ /^SKIP_/) status = "skip" }  # else "Not Run"
    /^\/testcase>/ { print status, name }
    /^\/testsuite>/ { whole = 1 }
    END { exit !whole }' "$1"
}

# "PASSED FAILED SKIPPED" of a gtest program; nothing when its file says no such thing.
gtest_counts() {
  awk 'function number(key) {
      return match($0, " " key "=\"[0-9]+\"") ? substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 4) + 0 : 0
    }
    /^<testsuites / { all = number("tests"); bad = number("failures") + number("errors"); out = number("disabled"); begun = 1 }
    /^ *<testsuite / { out += number("skipped") }
    /^<\/testsuites>/ { if (begun) print all - bad - out, bad, out }' "$1" 2>/dev/null
}

count() {
  local passed=0 failed=0 skipped=0 status name good bad out lines
  if ! lines=$(statuses "$1" 2>/dev/null) || [ -z "$lines" ]; then echo '0 1 0'; return; fi
  while read -r status name; do
    case "$status:$name" in
      pass:*.fast|pass:*.slow|fail:*.fast|fail:*.slow)
        good= bad= out=
        read -r good bad out <<<"$(gtest_counts "$2/$name.xml")"
        if [ -z "$out" ]; then failed=$((failed + 1)); continue; fi
        if [ "$status" = fail ] && [ "$bad" -eq 0 ]; then bad=1; fi
        passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + out)) ;;
      pass:*) passed=$((passed + 1)) ;;
      skip:*) skipped=$((skipped + 1)) ;;
      *) failed=$((failed + 1)) ;;
    esac
  done <<<"$lines"
  echo "$passed $failed $skipped"
}

self_test() {
  local wrong=0
  folder=$(mktemp -d)  # not local: the trap runs after this function
  trap 'rm -rf "$folder"' EXIT
  expect() {  # counts, what ctest wrote between <testsuite> and </testsuite>
    printf '<?xml version="1.0"?>\n<testsuite name="(empty)"\n\ttests="1"\n>\n%s\n</testsuite>\n' "$2" >"$folder/ctest.xml"
    local got
    got=$(count "$folder/ctest.xml" "$folder")
    [ "$got" = "$1" ] || { echo "expected $1, got $got, from: $2"; wrong=1; }
  }
  gtest() {  # NAME, attributes of <testsuites>, of <testsuite>
    printf '<?xml version="1.0"?>\n<testsuites %s name="AllTests">\n  <testsuite name="A" %s>\n  </testsuite>\n</testsuites>\n' \
      "$2" "$3" >"$folder/$1.xml"
  }
  local run='status="run"><system-out>&lt;failure</system-out></testcase>'
  local bad='status="fail"><failure message=""/></testcase>'
  gtest a.fast 'tests="9" failures="2" disabled="0" errors="0"' 'tests="9" failures="2" disabled="0" skipped="3" errors="0"'
  gtest b.fast 'tests="4" failures="0" disabled="0" errors="0"' 'tests="4" failures="0" disabled="0" skipped="0" errors="0"'
  head -n 3 "$folder/b.fast.xml" >"$folder/cut.fast.xml"
  expect '1 0 0' "<testcase name=\"base.A\" $run"
  expect '1 1 0' "<testcase name=\"base.A\" $run <testcase name=\"base.B\" $bad"
  expect '0 1 0' '<testcase name="base.A" status="notrun"><skipped message="Unable to find executable"/></testcase>'
  expect '0 0 1' '<testcase name="base.A" status="notrun"><skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/></testcase>'
  expect '0 0 1' '<testcase name="base.A" status="disabled"></testcase>'
  expect '4 2 3' "<testcase name=\"a.fast\" $bad"
  expect '4 0 0' "<testcase name=\"b.fast\" $run"
  expect '4 1 0' "<testcase name=\"b.fast\" $bad"
  expect '0 1 0' "<testcase name=\"cut.fast\" $run"
  expect '0 1 0' "<testcase name=\"none.fast\" $run"
  expect '0 1 0' '<testcase name="none.fast" status="notrun"><skipped message="Unable to find executable"/></testcase>'
  expect '0 1 0' ''
  printf '<testsuite><testcase name="base.A" %s' "$run" >"$folder/ctest.xml"  # cut off
  [ "$(count "$folder/ctest.xml" "$folder")" = '0 1 0' ] || { echo "half a file was believed"; wrong=1; }
  [ "$(count "$folder/missing.xml" "$folder")" = '0 1 0' ] || { echo "a missing file was believed"; wrong=1; }
  [ $wrong -eq 0 ] && echo "counts: 14 results judged right"
  return $wrong
}

if [ "${1:-}" = --self-test ]; then
  self_test
else
  count "$1" "$2"
fi
