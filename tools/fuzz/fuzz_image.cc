#include "fuzz.h"
#include "image/load.h"

using namespace yolov3;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) { decode_image(bytes, "fuzz", {32, 32}); });
}
