// A data set: which pictures there are and what is marked in them. Nothing is decoded here but file headers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/objects.h"
#include "image/load.h"

namespace yolov3 {

// A built-in picture, drawn when it is asked for (data/synthetic.h).
struct SyntheticRef {
  uint64_t seed = 0;
  int64_t index = 0;
  bool operator==(const SyntheticRef&) const = default;
};

struct Example {
  std::filesystem::path image;      // absolute or relative to the working directory; a label for synthetic ones
  std::vector<Annotation> objects;  // box_image
  int64_t image_id = 0;             // the data set's own, or the position
  std::optional<SyntheticRef> synthetic;
  int width = 0, height = 0;  // of the picture as it is shown; 0 = not looked at
  std::string origin;         // "train.txt:12" or "Annotations/a.xml": for messages
};

struct Dataset {
  std::vector<std::string> names;     // of the classes
  std::vector<int64_t> category_ids;  // the data set's own ids (COCO); empty = the index
  std::vector<Example> examples;      // background pictures have no objects
};

// The picture of an example. Errors: as load_image.
LoadedImage load_example(const Example& example, const LoadOptions& options = {});

}  // namespace yolov3
