#include "data/darknet_data.h"
#include "fuzz.h"

using namespace yolov3;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    const DarknetData read = parse_darknet_data(bytes, "fuzz.data");
    if (read.splits.empty()) __builtin_trap();  // is an Error
  });
}
