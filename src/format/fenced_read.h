// Reading with a library that may crash on a damaged or hostile file: it happens in a child process, and what was read
// comes back as bytes. A crash of the library is then an Error that names the file, and the program goes on.
//
// Threads: any. The child inherits only the calling thread, so `work` must start no threads (no OpenMP) and take no lock
// that others may hold, but HDF5's, which this function sees to.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace yolov3 {

// What the child may use before it is taken for lost: a damaged file can also make a library run or grow for ever.
struct FenceLimits {
  int cpu_seconds = 120;
  uint64_t more_memory = uint64_t{2} << 30;  // bytes, beyond what this process has already and the file's own size
};

// Calls put(bytes) as often as `work` likes; all of it, in order, is returned.
using PutBytes = std::function<void(const void* bytes, size_t size)>;

// Errors: those of `work`, with its words; the child's death, naming the signal; a limit that it reached.
std::string read_fenced(const std::filesystem::path& path, const std::function<void(const PutBytes& put)>& work,
                        const FenceLimits& limits = {});

}  // namespace yolov3
