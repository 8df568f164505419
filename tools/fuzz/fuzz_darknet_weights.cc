#include "base/files.h"
#include "format/darknet_weights.h"
#include "format/load_model.h"
#include "fuzz.h"
#include "seed_models.h"

using namespace yolov3;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const NetworkSpec spec = seed_network();
  return fuzz(data, size, [](std::string_view bytes) {
    const std::filesystem::path path = file_with(bytes, ".weights");
    try {  // what it is, which network of the family it could be, and all that is said when it is none
      load_model(ModelSource{path, "", {}, true});
    } catch (const Error&) {
    }
    const DarknetWeights read = load_darknet_weights(path, spec, DarknetPart::backbone);
    if (!read.whole()) return;
    // What is accepted must be written with the same numbers.
    save_darknet_weights(path, spec, read.weights, {.seen = read.seen});
    const std::string written = read_file(path);
    const size_t numbers = written.size() - 20;
    if (numbers > bytes.size() || written.substr(20) != bytes.substr(bytes.size() - numbers)) __builtin_trap();
  });
}
