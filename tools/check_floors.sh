#!/bin/bash
# Checks what files include against ARCHITECTURE.md: rooms stand on floors and include lower floors only, and heavy
# libraries stay behind their fences. Tests (*_test.cc) are outside the fences.
#
#   tools/check_floors.sh [SRC]         checks SRC (default: src beside this script's folder)
#   tools/check_floors.sh --self-test   plants violations in a copy and sees whether each is found
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)

check() {
  (cd "$1" && find . -name '*.h' -o -name '*.cc' | sort | xargs awk '
    BEGIN {
      split("base:0 image:1 net:1 data:2 format:2 engine:2 detect:3 eval:4 train:5 quant:5 app:6", rooms, " ")
      for (i in rooms) { split(rooms[i], pair, ":"); floor_of[pair[1]] = pair[2] }
    }
    FNR == 1 {
      file = substr(FILENAME, 3)
      split(file, part, "/")
      room = part[1]
      is_test = file ~ /_test\.(cc|h)$/
      if (!(room in floor_of) && !(room in said)) { report("this room has no floor; add it to ARCHITECTURE.md and here"); said[room] = 1 }
    }
    function report(what) { printf "%s:%d: %s\n", file, FNR, what; bad = 1 }
    function fence(pattern, allowed, library) {
      if (!is_test && header ~ pattern && file !~ allowed) report(library " (" header ") is fenced off here")
    }
    /^[ \t]*#[ \t]*include[ \t]*[<"]/ {
      header = $0
      sub(/^[^<"]*[<"]/, "", header)
      sub(/[>"].*$/, "", header)
      if (header ~ /(^|\/)\.\.?\//) { report("write \"" header "\" as \"room/file.h\", without . and .."); next }
      split(header, part, "/")
      quoted = $0 ~ /^[^<"]*"/
      ours = header ~ /\// && (part[1] in floor_of)
      if (ours && !quoted) report("<" header "> is ours: write \"" header "\"")
      if (ours && part[1] != room && !is_test) {
        if (floor_of[part[1]] == floor_of[room]) report(room " and " part[1] " are on one floor and must not include each other (" header ")")
        else if (floor_of[part[1]] > floor_of[room]) report(room " (floor " floor_of[room] ") includes upwards: " header " (floor " floor_of[part[1]] ")")
      }
      if (quoted && header !~ /\//) report("write \"" header "\" with its room: \"" room "/" header "\"")
      fence("^(torch/|ATen/|c10)", "^(engine/torch_|train/)", "LibTorch")
      fence("^dnnl", "^engine/dnnl_", "oneDNN")
      fence("^(opencv2/|jpeglib\\.h|turbojpeg\\.h|png\\.h)", "^(image/|data/augment)", "an image library")
      fence("^(hdf5|H5)", "^format/", "HDF5")
      fence("^(onnx/|google/protobuf/)", "^format/onnx", "ONNX")
      fence("^httplib\\.h", "^app/", "cpp-httplib")
    }
    END { exit bad }
  ')
}

self_test() {
  local failed=0
  copy=$(mktemp -d)  # not local: the trap runs after this function
  trap 'rm -rf "$copy"' EXIT
  planted() {  # file, include line, what the message must hold
    rm -rf "${copy:?}"/*
    mkdir -p "$copy/$(dirname "$1")"
    printf '// x\n#include %s\n' "$2" > "$copy/$1"
    local message status=0
    message=$(check "$copy") || status=$?
    if [ -z "$3" ] && [ $status -ne 0 ]; then echo "found where nothing is wrong: $1 $2: $message"; failed=1; fi
    if [ -n "$3" ] && { [ $status -eq 0 ] || [[ $message != "$1:2: "*"$3"* ]]; }; then
      echo "not found: $1 includes $2: $message"; failed=1
    fi
  }
  planted net/a.cc '"detect/nms.h"' 'upwards'
  planted net/a.cc '"image/load.h"' 'one floor'
  planted engine/a.h '"format/model_file.h"' 'one floor'
  planted detect/a.cc '<torch/torch.h>' 'LibTorch'
  planted engine/reference.cc '<ATen/ATen.h>' 'LibTorch'
  planted app/a.cc '<opencv2/core.hpp>' 'image library'
  planted data/loader.cc '<jpeglib.h>' 'image library'
  planted app/a.cc '<hdf5.h>' 'HDF5'
  planted app/export_onnx.cc '<onnx/onnx_pb.h>' 'ONNX'
  planted format/model_file.cc '<google/protobuf/message.h>' 'ONNX'
  planted engine/torch_a.cc '<dnnl.hpp>' 'oneDNN'
  planted base/a.cc '"error.h"' 'with its room'
  planted base/a.cc '  "net/spec.h" // why' 'upwards'
  planted net/a.cc '<detect/nms.h>' 'is ours'
  planted net/a.cc '<base/error.h>' 'is ours'
  planted net/a.cc '"../detect/nms.h"' 'without . and ..'
  planted net/a.cc '"base/../detect/nms.h"' 'without . and ..'
  planted net/a.cc '<./detect/nms.h>' 'without . and ..'
  planted train/a.cc '<torch/torch.h>' ''
  planted engine/torch_a.cc '<torch/torch.h>' ''
  planted format/onnx_graph.h '<onnx/onnx_pb.h>' ''
  planted app/a.cc '"format/onnx.h"' ''
  planted data/augment_colour.cc '<opencv2/imgproc.hpp>' ''
  planted net/a_test.cc '"detect/nms.h"' ''
  planted eval/a.cc '"detect/nms.h"' ''
  planted eval/a.cc '<httplib.h>' 'cpp-httplib'
  planted app/board_server.cc '<httplib.h>' ''
  planted app/a.cc '<vector>' ''
  [ $failed -eq 0 ] && echo "floors: 28 planted files judged right"
  return $failed
}

if [ "${1:-}" = --self-test ]; then
  self_test
else
  check "${1:-$root/src}"
fi
