// Data sets that a model is judged or calibrated on.
#pragma once

#include <string>
#include <vector>

#include "app/options.h"
#include "data/source.h"

namespace yolov3 {

constexpr const char* kDataHelp =
    "a data.yaml, a Darknet .data, a VOC folder, a COCO instances.json, a folder or list with YOLO txt labels, "
    "annotation lines (.txt) or synthetic[:N]";

constexpr const char* kImagesHelp = "the pictures of COCO files; empty = looked for around the file";

// --data, --split, --names, --images and --bad-data of a command that looks at one split.
void add_split_options(Options& options, DataOptions& data, std::string& split, std::string& bad_data);

// load_dataset() that lists the defects on stderr, also when it throws.
Dataset load_split(const DataOptions& options, const std::string& split);

// The model's class k must be the data's class k, or every figure would be wrong without a word. A model whose classes
// are not `named` is taken to have the data's, and a line on stderr says so.
// Errors: Kind::usage, naming the first class that differs.
void check_same_classes(const std::vector<std::string>& model, bool named, int model_classes,
                        const std::vector<std::string>& data);

}  // namespace yolov3
