#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

[[noreturn]] void fail_with_errno(const char* action, const fs::path& path) {
  const int reason = errno;
  const char* hint = reason == ENOSPC || reason == EDQUOT ? "; free some space or write elsewhere" : "";
  fail("{}: cannot {}: {}{}", path.string(), action, std::strerror(reason), hint);
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

void write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), std::min<size_t>(bytes.size(), size_t{1} << 30));
    if (written < 0) {
      if (errno == EINTR) continue;
      fail_with_errno("write", path);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

std::string read_file(const fs::path& path, uint64_t max_bytes) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) fail_with_errno("open", path);
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) fail_with_errno("inspect", path);
  check(!S_ISDIR(status.st_mode), "{}: expected a file, found a folder", path.string());

  // Pipes and /proc report size 0, so the size is a hint and the limit is kept while reading.
  const auto too_large = [&](uint64_t size) {
    check(size <= max_bytes, "{}: {} bytes or more, expected at most {}; is this the right file?", path.string(), size,
          max_bytes);
  };
  too_large(static_cast<uint64_t>(status.st_size));
  std::string bytes;
  size_t used = 0;
  bytes.resize(static_cast<size_t>(status.st_size) + 1);
  for (;;) {
    if (used == bytes.size()) bytes.resize(bytes.size() * 2 + 4096);
    const ssize_t got = ::read(file.fd, bytes.data() + used, bytes.size() - used);
    if (got < 0) {
      if (errno == EINTR) continue;
      fail_with_errno("read", path);
    }
    if (got == 0) break;
    used += static_cast<size_t>(got);
    too_large(used);
  }
  bytes.resize(used);
  return bytes;
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  // The suffix keeps the extension readable to libraries that look at it, and the process id keeps writers apart.
  temporary_ = path_.parent_path() / ("." + path_.filename().string() + "." + std::to_string(::getpid()) + ".tmp");
  descriptor_ = ::open(temporary_.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail_with_errno("create", path_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) { write_all(descriptor_, bytes, path_); }

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail_with_errno("flush", path_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_with_errno("rename into place", path_);
  ::close(descriptor_);
  descriptor_ = -1;
  // The rename itself must survive a power cut too.
  const fs::path folder = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  const Descriptor directory{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (directory.fd >= 0) ::fsync(directory.fd);
}

void write_file(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void make_directories(const fs::path& path) {
  std::error_code reason;
  fs::create_directories(path, reason);
  check(!reason, "{}: cannot create the folder: {}", path.string(), reason.message());
}

std::vector<fs::path> list_files(const fs::path& folder) {
  std::error_code reason;
  std::vector<fs::path> files;
  fs::directory_iterator entries(folder, reason);
  check(!reason, "{}: cannot list the folder: {}", folder.string(), reason.message());
  for (const fs::directory_entry& entry : entries) {
    if (entry.is_regular_file(reason)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

fs::path resolve_beside(const fs::path& referrer, const fs::path& path) {
  return path.is_absolute() ? path : (referrer.parent_path() / path).lexically_normal();
}

}  // namespace yolov3
