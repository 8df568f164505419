#include "format/keras_weights.h"
#include "format/sealed_file.h"
#include "fuzz.h"
#include "seed_models.h"

using namespace yolov3;

// HDF5 1.10 itself loses a few blocks when it gives up on a damaged object; ours are still watched.
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

// H5Aexists also copies from beyond its buffer when a damaged object says so; the program reads such files in a child
// process, whose end is reported.
extern "C" const char* __asan_default_suppressions() { return "interceptor_via_fun:H5Aexists"; }

// Without the child process that the program reads such files in: here a crash is to be seen.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const NetworkSpec spec = seed_network();
  return fuzz(data, size, [](std::string_view bytes) {
    const std::filesystem::path path = file_with(bytes, ".h5");
    const OpenFile file = OpenFile::for_reading(path);
    match_keras_tensors(read_keras_tensors(file.descriptor(), bytes.size(), path), spec, path);
  });
}
