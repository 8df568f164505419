#include "data/lines.h"
#include "fuzz_data.h"

using namespace yolov3;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    for (const StatedPicture& picture : parse_lines(bytes, "fuzz.txt")) check_boxes_of(picture);
  });
}
