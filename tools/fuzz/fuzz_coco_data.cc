#include <sstream>

#include "data/coco.h"
#include "fuzz.h"

using namespace yolov3;

// The streaming reader, and what stands between it and a data set: names, ids and the rules for boxes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    std::istringstream in{std::string(bytes)};
    CocoData coco = parse_coco(in, "fuzz.json");
    const std::vector<std::string> names = {"dog", "traffic light"};
    name_classes(coco, names);
    category_ids(coco.categories, names);
    DefectReport report;
    DefectSink sink(BadDataPolicy::repair, report);
    for (const StatedPicture& picture : coco.pictures) {
      if (picture.boxes.size() <= kMaxBoxesOfAPicture) check_boxes(picture, 64, 48, names, sink);
    }
  });
}
