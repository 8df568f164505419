#include "app/options.h"
#include "fuzz.h"

using namespace yolov3;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    float conf = 0;
    std::vector<int> sizes;
    std::string name;
    ImageSize imgsz{416, 416};
    Options options("fuzz", "");
    options.add("conf", &conf, "").range(0, 1);
    options.add("sizes", &sizes, "");
    options.add("name", &name, "");
    options.add("imgsz", &imgsz, "");
    options.parse({"--config", file_with(bytes, ".toml").string()});
    options.to_toml();
  });
}
