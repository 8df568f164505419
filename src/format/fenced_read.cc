#include "format/fenced_read.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <optional>

#include "base/error.h"
#include "format/hdf5_file.h"
#include "format/sealed_file.h"

namespace yolov3 {
namespace {

// Of a child that could not do its work. None is what a library's own exit() or abort would give.
enum Exit : int { cannot_hand_over = 101, no_memory, unknown };

// What the child says last, so that none is a child that died.
enum class Verdict : char { none, whole, refused };

// The file in memory through which the child speaks: the verdict, then the bytes.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("yolov3-read", MFD_CLOEXEC)) {
    check(descriptor_ >= 0, "cannot make a file in memory: {}", std::strerror(errno));
    const char none = static_cast<char>(Verdict::none);
    check(::write(descriptor_, &none, 1) == 1, "cannot write to a file in memory: {}", std::strerror(errno));
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
    if (::ftruncate(descriptor_, 1) != 0 || ::lseek(descriptor_, 1, SEEK_SET) != 1) ::_exit(cannot_hand_over);
  }

  void judge(Verdict verdict) const {
    if (::pwrite(descriptor_, &verdict, 1, 0) != 1) ::_exit(cannot_hand_over);
  }

  Verdict verdict(const std::filesystem::path& path) const {
    char verdict = 0;
    read_at(descriptor_, 0, &verdict, 1, path);
    return static_cast<Verdict>(verdict);
  }

  std::string contents(const std::filesystem::path& path) const {
    struct stat status {};
    check(::fstat(descriptor_, &status) == 0, "{}: cannot inspect what was read", path.string());
    std::string bytes(static_cast<size_t>(status.st_size) - 1, '\0');
    read_at(descriptor_, 1, bytes.data(), bytes.size(), path);
    return bytes;
  }

 private:
  int descriptor_;
};

template <class Resource>
void limit(Resource resource, rlim_t most) {
  rlimit now{};
  if (::getrlimit(resource, &now) != 0) return;
  const rlimit lower{std::min(most, now.rlim_cur), now.rlim_max};
  ::setrlimit(resource, &lower);
}

// Memory that this process has for data; 0 where the system does not say.
uint64_t data_bytes() {
  unsigned long pages[6] = {};
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  const int read =
      std::fscanf(file, "%lu %lu %lu %lu %lu %lu", pages, pages + 1, pages + 2, pages + 3, pages + 4, pages + 5);
  std::fclose(file);
  return read == 6 ? pages[5] * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

void set_limits(const std::filesystem::path& path, const FenceLimits& limits) {
  limit(RLIMIT_CORE, 0);  // a crash is expected here: it leaves no core file
  limit(RLIMIT_CPU, static_cast<rlim_t>(limits.cpu_seconds));
  std::error_code ignored;
  const uint64_t size = std::filesystem::file_size(path, ignored);
  const uint64_t data = data_bytes();
  if (data > 0) limit(RLIMIT_DATA, data + limits.more_memory + 2 * (ignored ? 0 : size));
}

[[noreturn]] void run_child(const MemoryFile& memory, const std::function<void(const PutBytes&)>& work) {
  const auto refuse = [&memory](std::string_view why) {
    memory.clear();
    memory.write(why.data(), why.size());
    memory.judge(Verdict::refused);
    ::_exit(0);
  };
  try {
    work([&memory](const void* bytes, size_t size) { memory.write(bytes, size); });
  } catch (const std::bad_alloc&) {
    ::_exit(no_memory);
  } catch (const std::exception& error) {
    refuse(error.what());
  } catch (...) {  // nothing may get out of here, or the child would go on as a second program
    ::_exit(unknown);
  }
  memory.judge(Verdict::whole);
  ::_exit(0);
}

// How the child ended; nothing where this process ignores SIGCHLD, and the system has told nobody.
std::optional<int> wait_for(pid_t child, const std::filesystem::path& path) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno == ECHILD) return std::nullopt;  // it has ended all the same
    check(errno == EINTR, "{}: lost the process that read it: {}", path.string(), std::strerror(errno));
  }
  return status;
}

// Of a child that did not get to its own end.
std::string death_of(int status, const FenceLimits& limits) {
  if (WIFEXITED(status)) {
    switch (WEXITSTATUS(status)) {
      case cannot_hand_over: return "not enough memory to hand over what was read";
      case no_memory: return "reading it takes more memory than a file of its size can need";
      default: return fmt::format("HDF5 ended the process that read this file (code {})", WEXITSTATUS(status));
    }
  }
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (signal == SIGXCPU) {
    return fmt::format("HDF5 did not come to an end with this file in {} s: it is damaged or made to do harm",
                       limits.cpu_seconds);
  }
  if (signal == SIGKILL) return "the process that read this file was killed from outside, perhaps for lack of memory";
  return fmt::format("HDF5 crashed while it read this file ({}): it is damaged or made to do harm",
                     signal != 0 ? ::strsignal(signal) : "stopped");
}

}  // namespace

std::string read_fenced(const std::filesystem::path& path, const std::function<void(const PutBytes& put)>& work,
                        const FenceLimits& limits) {
  const MemoryFile memory;
  pid_t child = -1;
  {
    const hdf5::Session alone;  // no other thread is inside HDF5 now, or the child could wait for it for ever
    child = ::fork();
  }
  check(child >= 0, "{}: cannot start a process to read it in: {}", path.string(), std::strerror(errno));
  if (child == 0) {
    set_limits(path, limits);
    run_child(memory, work);
  }
  const std::optional<int> status = wait_for(child, path);
  const Verdict verdict = memory.verdict(path);
  if (verdict == Verdict::none) {
    fail("{}: {}", path.string(),
         status ? death_of(*status, limits)
                : "the process that read this file died, of what is not known: this program ignores SIGCHLD");
  }
  std::string bytes = memory.contents(path);
  if (verdict == Verdict::refused) throw Error(bytes);
  return bytes;
}

}  // namespace yolov3
