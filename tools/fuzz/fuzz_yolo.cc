#include "data/darknet_data.h"
#include "data/yolo.h"
#include "fuzz.h"

using namespace yolov3;

// The same bytes as labels, as a .data file, and as a path.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    yolo_label_path(std::filesystem::path(std::string(bytes)));
    try {
      parse_darknet_data(bytes, "fuzz.data");
    } catch (const Error&) {
    }
    const StatedPicture picture = parse_yolo_labels(bytes, "fuzz.txt");
    DefectReport report;
    DefectSink sink(BadDataPolicy::repair, report);
    if (picture.boxes.size() <= kMaxBoxesOfAPicture) check_boxes(picture, 64, 48, {"dog", "cat"}, sink);
  });
}
