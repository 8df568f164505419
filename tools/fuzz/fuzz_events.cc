#include "format/event_reader.h"
#include "fuzz.h"

using namespace yolov3;

// As one event, and as a file of records.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    scalars_of_event(bytes);
    EventReader(file_with(bytes, ".events")).read([](const ScalarPoint&) {});
  });
}
