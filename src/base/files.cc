#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <random>
#include <utility>

#include "base/error.h"
#include "base/text.h"

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

const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe; write what comes through it to a file first";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

constexpr int kMaxLinks = 40;  // as the kernel allows

// What the symbolic links at `path` lead to, whether it exists or not: the link stays, its target is written.
fs::path without_links(fs::path path) {
  std::error_code reason;
  for (int i = 0; fs::is_symlink(path, reason); ++i) {
    check(i < kMaxLinks, "{}: the symbolic links go round in a circle", path.string());
    const fs::path target = fs::read_symlink(path, reason);
    check(!reason, "{}: cannot read the symbolic link: {}", path.string(), reason.message());
    path = path.parent_path() / target;  // `target` alone when it is absolute
  }
  return path;
}

constexpr int kNameAttempts = 100;
constexpr std::string_view kUnfinished = ".yolov3-unfinished-";

// Whether the name is that of a file which a process that is gone left unfinished.
bool is_left_over(std::string_view name) {
  if (!name.starts_with(kUnfinished)) return false;
  name.remove_prefix(kUnfinished.size());
  const std::optional<int64_t> process = parse_integer(name.substr(0, name.find('-')));
  return process && *process > 0 && ::kill(static_cast<pid_t>(*process), 0) != 0 && errno == ESRCH;
}

// A new file beside `path` that nobody else has. Its name is short, since that of `path` may have all 255 bytes.
int create_beside(const fs::path& path, fs::path& created) {
  std::random_device random;
  for (int i = 0; i < kNameAttempts; ++i) {
    created = path.parent_path() / fmt::format("{}{}-{:08x}", kUnfinished, ::getpid(), random());
    const int descriptor = ::open(created.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
    if (descriptor >= 0) return descriptor;
    if (errno != EEXIST) break;
  }
  fail_with_errno("create", path);
}

}  // namespace

std::string read_file(const fs::path& path, uint64_t max_bytes) {
  // Not to wait for the other end of a pipe.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) fail_with_errno("open", path);
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) fail_with_errno("inspect", path);
  check(S_ISREG(status.st_mode), "{}: expected a file, found {}", path.string(), kind_of(status.st_mode));

  // Files of /proc report size 0, so the size is a hint and the limit is kept while reading.
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
  struct stat status {};
  if (::stat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    check(!S_ISDIR(status.st_mode), "{}: expected a file, found a folder", path_.string());
    temporary_ = path_;  // /dev/null must stay what it is
    direct_ = true;
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail_with_errno("open for writing", path_);
    return;
  }
  path_ = without_links(std::move(path_));
  descriptor_ = create_beside(path_, temporary_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!direct_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) { write_all(descriptor_, bytes, path_); }

void AtomicFile::commit() {
  if (direct_) {
    const int closed = ::close(std::exchange(descriptor_, -1));
    if (closed != 0) fail_with_errno("write", path_);
    return;
  }
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

int remove_unfinished_files(const fs::path& folder) {
  int removed = 0;
  for (const fs::path& file : list_files(folder)) {
    std::error_code reason;
    if (is_left_over(file.filename().string()) && fs::remove(file, reason)) ++removed;
  }
  return removed;
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
