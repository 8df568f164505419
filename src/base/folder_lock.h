// A folder that one process at a time works in. The lock is the process's: it goes with it, however it ends, so that a
// killed process leaves nothing to clean up.
#pragma once

#include <filesystem>

namespace yolov3 {

class FolderLock {
 public:
  // Errors: another process, or another lock of this one, has it. Where the file system knows no locks, or the folder
  // cannot be opened, there is no protection and no error.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace yolov3
