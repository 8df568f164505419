#include "eval/coco_json.h"
#include "fuzz.h"

using namespace yolov3;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    const std::filesystem::path path = file_with(bytes, ".json");
    // The same bytes as either kind of file.
    try {
      read_coco_truth(path);
    } catch (const Error&) {
    }
    CocoTruth truth{{"dog"}, {3}, {{.id = 1, .file_name = "a.jpg", .width = 9, .height = 9}}};
    read_coco_results(path, truth);
  });
}
