#include <sstream>

#include "data/coco.h"
#include "data/coco_events.h"
#include "fuzz_data.h"

using namespace yolov3;

// The streaming reader, and what stands between it and a data set: names, ids and the rules for boxes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    try {
      std::istringstream in{std::string(bytes)};
      CocoVisitor visitor;
      visitor.categories_only = true;
      visit_coco(in, "fuzz.json", visitor);
    } catch (const Error&) {
    }
    std::istringstream in{std::string(bytes)};
    CocoData coco = parse_coco(in, "fuzz.json");
    const std::vector<std::string> names = {"dog", "traffic light"};
    name_classes(coco, names);
    category_ids(coco.categories, names);
    for (const StatedPicture& picture : coco.pictures) check_boxes_of(picture);
  });
}
