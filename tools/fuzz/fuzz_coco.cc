#include "eval/coco_json.h"
#include "fuzz.h"

using namespace yolov3;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    CocoTruth truth = read_coco_truth(file_with(bytes, ".json"));
    read_coco_results(file_with(bytes, ".json"), truth);
  });
}
