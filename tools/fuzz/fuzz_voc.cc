#include <set>

#include "data/voc_xml.h"
#include "fuzz_data.h"

using namespace yolov3;

// The two looks at an annotation: its class names, then all of it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    std::set<std::string> names;
    add_voc_names(bytes, names);
    Unheld unheld;
    check_boxes_of(parse_voc_xml(bytes, "fuzz.xml", {"dog", "traffic light"}, &unheld));
  });
}
