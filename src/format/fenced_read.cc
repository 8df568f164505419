#include "format/fenced_read.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "format/hdf5_file.h"
#include "format/sealed_file.h"

namespace yolov3 {
namespace {

enum Exit : int { read_whole = 0, refused = 1, cannot_hand_over = 2 };

// The file in memory through which the child speaks.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("yolov3-read", MFD_CLOEXEC)) {
    check(descriptor_ >= 0, "cannot make a file in memory: {}", std::strerror(errno));
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }

  void write(const void* bytes, size_t size) const {
    const char* at = static_cast<const char*>(bytes);
    while (size > 0) {
      const ssize_t put = ::write(descriptor_, at, size);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) ::_exit(cannot_hand_over);
      at += put;
      size -= static_cast<size_t>(put);
    }
  }

  void clear() const {
    if (::ftruncate(descriptor_, 0) != 0 || ::lseek(descriptor_, 0, SEEK_SET) != 0) ::_exit(cannot_hand_over);
  }

  std::string contents(const std::filesystem::path& path) const {
    struct stat status {};
    check(::fstat(descriptor_, &status) == 0, "{}: cannot inspect what was read", path.string());
    std::string bytes(static_cast<size_t>(status.st_size), '\0');
    read_at(descriptor_, 0, bytes.data(), bytes.size(), path);
    return bytes;
  }

 private:
  int descriptor_;
};

[[noreturn]] void run_child(const MemoryFile& memory, const std::function<void(const PutBytes&)>& work) {
  try {
    work([&memory](const void* bytes, size_t size) { memory.write(bytes, size); });
  } catch (const std::exception& error) {
    memory.clear();
    memory.write(error.what(), std::strlen(error.what()));
    ::_exit(refused);
  }
  ::_exit(read_whole);
}

}  // namespace

std::string read_fenced(const std::filesystem::path& path, const std::function<void(const PutBytes& put)>& work) {
  const MemoryFile memory;
  pid_t child = -1;
  {
    const hdf5::Session alone;  // no other thread is inside HDF5 now, or the child could wait for it for ever
    child = ::fork();
  }
  check(child >= 0, "{}: cannot start a process to read it in: {}", path.string(), std::strerror(errno));
  if (child == 0) run_child(memory, work);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    check(errno == EINTR, "{}: lost the process that read it: {}", path.string(), std::strerror(errno));
  }
  check(WIFEXITED(status), "{}: HDF5 crashed while it read this file ({}): it is damaged or made to do harm",
        path.string(), WIFSIGNALED(status) ? ::strsignal(WTERMSIG(status)) : "stopped");
  check(WEXITSTATUS(status) == read_whole || WEXITSTATUS(status) == refused,
        "{}: not enough memory to hand over what was read", path.string());
  std::string bytes = memory.contents(path);
  if (WEXITSTATUS(status) == refused) throw Error(bytes);
  return bytes;
}

}  // namespace yolov3
