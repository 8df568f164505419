#include "format/model_file.h"
#include "format/sealed_file.h"
#include "fuzz.h"

using namespace yolov3;

// HDF5 1.10 itself loses a few blocks when it gives up on a damaged object; ours are still watched.
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }

// H5Aexists also copies from beyond its buffer when a damaged object says so; the program reads such files in a child
// process, whose end is reported.
extern "C" const char* __asan_default_suppressions() { return "interceptor_via_fun:H5Aexists"; }

// Behind the seal, whose checksum would keep every change away, and without the child process that HDF5 is tried in:
// here a crash is to be seen.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz(data, size, [](std::string_view bytes) {
    const std::filesystem::path path = file_with(bytes, ".h5");
    const OpenFile file = OpenFile::for_reading(path);
    TrainingState state;
    read_model(file.descriptor(), bytes.size(), path, &state);
  });
}
