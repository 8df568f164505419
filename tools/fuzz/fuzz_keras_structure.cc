#include "format/keras_weights.h"
#include "format/sealed_file.h"
#include "fuzz.h"
#include "h5_edits.h"
#include "seed_models.h"

using namespace yolov3;

// HDF5 1.10 itself loses a few blocks when it gives up on a damaged object; ours are still watched.
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

// H5Aexists also copies from beyond its buffer when a damaged object says so; the program reads such files in a child
// process, whose end is reported.
extern "C" const char* __asan_default_suppressions() { return "interceptor_via_fun:H5Aexists"; }

namespace {

std::string keras_file() {
  const std::filesystem::path path = file_with("", ".h5");
  save_keras_weights(path, seed_network(), random_weights(seed_network()));
  return read_file(path);
}

}  // namespace

// Without the child process that the program reads such files in: here a crash is to be seen.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static H5Edits edits(file_with("", ".h5"), keras_file());
  FuzzedDataProvider bytes(data, size);
  const std::filesystem::path& path = edits.apply(bytes);
  return fuzz(data, size, [&](std::string_view) {
    const OpenFile file = OpenFile::for_reading(path);
    const std::vector<KerasTensor> tensors =
        read_keras_tensors(file.descriptor(), std::filesystem::file_size(path), path);
    describe_keras_layers(tensors);
    match_keras_tensors(tensors, seed_network(), path);
  });
}
