#include "base/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"

namespace yolov3 {

namespace {

// A process that was killed may have left a child behind (format/fenced_read.h) that holds the lock for a moment more.
bool lock(int descriptor) {
  for (int tries = 20; tries > 0; --tries) {
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return true;
    ::usleep(100'000);
  }
  return false;
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder)
    : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0 || lock(descriptor_)) return;
  ::close(descriptor_);
  fail("{}: another process is at work in this folder; wait for it or end it first", folder.string());
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace yolov3
