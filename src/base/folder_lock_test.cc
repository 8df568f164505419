#include "base/folder_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <optional>

#include "base/error.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

class FolderLocks : public ::testing::Test {
 protected:
  FolderLocks() {
    std::string name = (fs::temp_directory_path() / "yolov3-lock-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Error("cannot make a folder for the test");
    folder_ = name;
  }
  ~FolderLocks() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(FolderLocks, AreHeldByOneAtATime) {
  {
    const FolderLock lock(folder_);
    EXPECT_THROW(FolderLock second(folder_), Error);
  }
  EXPECT_NO_THROW(FolderLock again(folder_));
}

// The child holds the lock and says so through a pipe; then it is killed.
TEST_F(FolderLocks, GoWithAKilledProcess) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder_);
    static_cast<void>(!::write(ready[1], "x", 1));
    ::pause();
    std::_Exit(1);
  }
  char word;
  ASSERT_EQ(::read(ready[0], &word, 1), 1);
  try {
    const FolderLock lock(folder_);
    ADD_FAILURE() << "two have it";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(folder_.string()), std::string::npos) << error.what();
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_NO_THROW(FolderLock lock(folder_));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(FolderLocks, AMissingFolderIsNoError) { EXPECT_NO_THROW(FolderLock lock(folder_ / "none")); }

}  // namespace
}  // namespace yolov3
