#include "format/model_file.h"
#include "format/sealed_file.h"
#include "fuzz.h"

using namespace yolov3;

// HDF5 1.10 itself loses a few blocks when it gives up on a damaged object; ours are still watched.
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

// The seal is put on here, or its checksum would keep every change away from what lies behind it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    const std::filesystem::path path = file_with(bytes, ".h5");
    {
      const OpenFile file = OpenFile::for_writing(path);
      seal(file.descriptor(), bytes.size(), path);
    }
    TrainingState state;
    load_model(path, &state);
  });
}
