#include "app/run_table.h"
#include "fuzz.h"

using namespace yolov3;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) { parse_run_table(bytes, 10); });
}
