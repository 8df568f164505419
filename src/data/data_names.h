// The class names of a data set: --names, else the data.yaml's or .data's, else what the sources themselves say.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/coco.h"
#include "data/data_plan.h"

namespace yolov3 {

// COCO files that were read, by path: a large one is read once.
using CocoFiles = std::map<std::filesystem::path, CocoData>;

// Sources of all splits count, those of other splits than `split` as far as they are there. VOC folders' and synthetic
// names are sorted; where all sources are COCO files, the order is that of the category ids; a folder of YOLO labels
// has names only in a classes.txt. Errors: no names, two COCO files that give one id two names.
std::vector<std::string> class_names(const DataOptions& options, const DataPlan& plan, const std::string& split,
                                     const CocoFiles& read);

}  // namespace yolov3
