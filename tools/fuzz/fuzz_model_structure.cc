#include "format/model_file.h"
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

std::string unsealed_model() {
  const std::filesystem::path path = file_with("", ".h5");
  const TrainingState state = seed_state();
  Model model = seed_model();
  model.quantization = Quantization{std::vector<float>(model.spec.layers.size(), 0.5f), {0}};
  save_model(path, model, &state);
  const std::string sealed = read_file(path);
  return sealed.substr(0, sealed.size() - kSealSize);
}

}  // namespace

// Without the seal and without the child process that stand before HDF5 in the program: here a crash is to be seen.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static H5Edits edits(file_with("", ".h5"), unsealed_model());
  FuzzedDataProvider bytes(data, size);
  const std::filesystem::path& path = edits.apply(bytes);
  return fuzz(data, size, [&](std::string_view) {
    const OpenFile file = OpenFile::for_reading(path);
    TrainingState state;
    read_model(file.descriptor(), std::filesystem::file_size(path), path, &state);
  });
}
