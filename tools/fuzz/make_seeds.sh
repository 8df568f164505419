#!/bin/bash
# Valid files for the fuzzers to start from, into build/fuzz/corpus: without them a fuzzer never gets past a magic number.
#   tools/fuzz/make_seeds.sh PROGRAM      PROGRAM: a yolov3 of any build
set -euo pipefail
cd "$(dirname "$0")/../.."
program=$1
corpus=build/fuzz/corpus
for name in cfg lines voc data_yaml class_names image coco options model_file; do mkdir -p "$corpus/fuzz_$name"; done

cat >"$corpus/fuzz_cfg/seed" <<'END'
[net]
width=64
height=64
channels=3

[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky

[shortcut]
from=-1
activation=linear

[route]
layers=-1,0

[upsample]
stride=2

[maxpool]
size=2
stride=2

[convolutional]
filters=21
size=1
stride=1
pad=1
activation=linear

[yolo]
mask=0,1,2
anchors=10,13, 16,30, 33,23
classes=2
num=3
END
printf 'a b.jpg 1,2,3,4,0 5.5,6,7,8,1\nbackground.png\n' >"$corpus/fuzz_lines/seed"
printf '<annotation><filename>a.jpg</filename><size><width>9</width><height>9</height></size><object><name>dog</name><difficult>1</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>' >"$corpus/fuzz_voc/seed"
printf 'path: .\ntrain: [a.txt, synthetic:4]\nval: b\nnc: 2\nnames: {0: dog, 1: traffic light}\n' >"$corpus/fuzz_data_yaml/seed"
printf '\xef\xbb\xbfdog\r\ntraffic light\r\n\r\n' >"$corpus/fuzz_class_names/seed"
printf 'conf = 0.5\nsizes = [1, 2]\nname = "x"\nimgsz = "64x32"\n' >"$corpus/fuzz_options/seed"
printf '{"images":[{"id":1,"file_name":"a.jpg","width":9,"height":9}],"categories":[{"id":3,"name":"dog"}],"annotations":[{"id":1,"image_id":1,"category_id":3,"bbox":[1,2,3,4],"area":12,"iscrowd":0}]}' >"$corpus/fuzz_coco/seed-truth"
printf '[{"image_id":1,"category_id":3,"bbox":[1,2,3,4],"score":0.5}]' >"$corpus/fuzz_coco/seed-results"
