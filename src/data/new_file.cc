#include "data/new_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace yolov3 {
namespace {

constexpr size_t kBlock = size_t{1} << 20;

[[noreturn]] void fail_to_write(const std::filesystem::path& path) {
  const int reason = errno;
  fail("{}: cannot write: {}{}", path.string(), std::strerror(reason),
       reason == ENOSPC || reason == EDQUOT ? "; free some space or write elsewhere" : "");
}

void write_all(int descriptor, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) fail_to_write(path);
    if (written > 0) bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

NewFile::NewFile(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail_to_write(path_);
}

NewFile::~NewFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void NewFile::write(std::string_view text) {
  if (waiting_.size() + text.size() > kBlock) flush();
  if (text.size() > kBlock) return write_all(descriptor_, text, path_);
  waiting_.append(text);
}

void NewFile::flush() {
  write_all(descriptor_, waiting_, path_);
  waiting_.clear();
}

void NewFile::close() {
  flush();
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_to_write(path_);
}

void write_new_file(const std::filesystem::path& path, std::string_view bytes) {
  NewFile file(path);
  file.write(bytes);
  file.close();
}

}  // namespace yolov3
