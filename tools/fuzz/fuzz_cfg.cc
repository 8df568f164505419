#include "fuzz.h"
#include "net/cfg.h"

using namespace yolov3;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    const ParsedCfg parsed = parse_cfg(bytes, "fuzz.cfg");
    // What is accepted must come back the same.
    if (!(parse_cfg(write_cfg(parsed.spec), "written.cfg").spec == parsed.spec)) __builtin_trap();
  });
}
