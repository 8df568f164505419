#include "data/yolo.h"
#include "fuzz_data.h"

using namespace yolov3;

// The same bytes as a picture's labels and as its path.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    yolo_label_path(std::filesystem::path(std::string(bytes)));
    std::map<std::string, int64_t> unheld;
    check_boxes_of(parse_yolo_labels(bytes, "fuzz.txt", &unheld));
  });
}
