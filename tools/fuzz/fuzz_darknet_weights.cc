#include "base/files.h"
#include "format/darknet_weights.h"
#include "fuzz.h"
#include "net/builder.h"

using namespace yolov3;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const NetworkSpec spec = NetworkBuilder({3, 8, 8}).conv(2, 1).conv(6, 1, 1, Activation::linear, false).build();
  return fuzz(data, size, [](std::string_view bytes) {
    const std::filesystem::path path = file_with(bytes, ".weights");
    const DarknetWeights read = load_darknet_weights(path, spec, DarknetPart::backbone);
    if (!read.whole()) return;
    // What is accepted must be written with the same numbers.
    save_darknet_weights(path, spec, read.weights, {.seen = read.seen});
    const std::string written = read_file(path);
    const size_t numbers = written.size() - 20;
    if (numbers > bytes.size() || written.substr(20) != bytes.substr(bytes.size() - numbers)) __builtin_trap();
  });
}
