#include "base/files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "base/error.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

class Files : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "yolov3-files-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path path(const std::string& name) const { return folder_ / name; }

  // All names in the folder, hidden ones too.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const fs::path& file : list_files(folder_)) names.push_back(file.filename().string());
    return names;
  }

  template <class Action>
  static std::string error_of(Action&& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

 private:
  fs::path folder_;
};

using Names = std::vector<std::string>;

// No file of this process may grow over `bytes`: what a full disk looks like.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit small{bytes, old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~SmallDisk() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit old_{};
  void (*handler_)(int);
};

TEST_F(Files, ReadGivesEveryByte) {
  const std::string bytes("a\0\r\n\xff", 5);
  write_file(path("a"), bytes);
  EXPECT_EQ(read_file(path("a")), bytes);
  write_file(path("empty"), "");
  EXPECT_EQ(read_file(path("empty")), "");
  EXPECT_FALSE(read_file("/proc/self/status").empty());  // says that its size is 0
}

TEST_F(Files, ReadKeepsTheLimit) {
  write_file(path("ten"), "0123456789");
  EXPECT_EQ(read_file(path("ten"), 10), "0123456789");
  const std::string error = error_of([&] { read_file(path("ten"), 9); });
  EXPECT_NE(error.find("ten: 10 bytes or more, expected at most 9"), std::string::npos) << error;
  EXPECT_THROW(read_file("/proc/self/status", 3), Error);
}

TEST_F(Files, ReadRefusesWhatIsNoFile) {
  EXPECT_NE(error_of([&] { read_file(path("none")); }).find("none: cannot open: No such file"), std::string::npos);
  EXPECT_NE(error_of([&] { read_file(path("")); }).find("found a folder"), std::string::npos);
  EXPECT_NE(error_of([&] { read_file("/dev/null"); }).find("found a device"), std::string::npos);
}

// Nobody writes into the pipe: to open it the usual way would wait for ever.
TEST_F(Files, ReadDoesNotWaitForAPipe) {
  ASSERT_EQ(::mkfifo(path("x.jpg").c_str(), 0600), 0);
  const std::string error = error_of([&] { read_file(path("x.jpg")); });
  EXPECT_NE(error.find("x.jpg: expected a file, found a pipe"), std::string::npos) << error;
}

TEST_F(Files, CommitReplacesTheFile) {
  write_file(path("a"), "old, and longer");
  AtomicFile file(path("a"));
  file.write("ne");
  file.write("w");
  EXPECT_EQ(read_file(path("a")), "old, and longer");
  file.commit();
  EXPECT_EQ(read_file(path("a")), "new");
  EXPECT_EQ(names(), Names{"a"});
}

TEST_F(Files, WithoutCommitNothingHappened) {
  write_file(path("a"), "old");
  {
    AtomicFile file(path("a"));
    file.write("new");
    AtomicFile(path("b")).write("new");
  }
  EXPECT_EQ(read_file(path("a")), "old");
  EXPECT_EQ(names(), Names{"a"});
}

TEST_F(Files, AFullDiskLeavesTheOldFile) {
  write_file(path("a"), "old");
  std::string error;
  {
    const SmallDisk disk(4096);
    error = error_of([&] { write_file(path("a"), std::string(100000, 'x')); });
  }
  EXPECT_NE(error.find("/a: cannot write: File too large"), std::string::npos) << error;
  EXPECT_EQ(read_file(path("a")), "old");
  EXPECT_EQ(names(), Names{"a"});
}

TEST_F(Files, TwoWritersOfOneFileDoNotMeet) {
  AtomicFile one(path("a")), two(path("a"));
  EXPECT_NE(one.temporary(), two.temporary());
  one.write("one");
  two.write("two");
  one.commit();
  EXPECT_EQ(read_file(path("a")), "one");
  two.commit();
  EXPECT_EQ(read_file(path("a")), "two");
}

TEST_F(Files, TheTemporaryIsBesideTheFileAndSaysWhatItIs) {
  const AtomicFile file(path("a"));
  EXPECT_EQ(file.temporary().parent_path(), path("a").parent_path());
  EXPECT_TRUE(file.temporary().filename().string().starts_with(".yolov3-unfinished-")) << file.temporary();
}

TEST_F(Files, NamesMayHaveAll255Bytes) {
  const std::string name(255, 'n');
  write_file(path(name), "x");
  EXPECT_EQ(read_file(path(name)), "x");
  EXPECT_THROW(write_file(path(name + "n"), "x"), Error);
}

// It was replaced by a regular file for everybody on the machine when root wrote to it.
TEST_F(Files, ADeviceStaysADevice) {
  write_file("/dev/null", "gone");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  fs::create_symlink("/dev/null", path("link"));
  write_file(path("link"), "gone");
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(Files, APipeIsWrittenInto) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  const int reader = ::open(path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  write_file(path("pipe"), "through");
  char bytes[16];
  EXPECT_EQ(std::string(bytes, static_cast<size_t>(std::max<ssize_t>(0, ::read(reader, bytes, sizeof bytes)))),
            "through");
  ::close(reader);
  EXPECT_TRUE(fs::is_fifo(path("pipe")));
}

TEST_F(Files, LinksAreFollowed) {
  make_directories(path("there"));
  write_file(path("there/a"), "old");
  fs::create_symlink("there/a", path("link"));
  fs::create_symlink("link", path("link2"));
  write_file(path("link2"), "new");
  EXPECT_TRUE(fs::is_symlink(path("link2")));
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(read_file(path("there/a")), "new");

  fs::create_symlink("there/made", path("ahead"));  // of its target
  write_file(path("ahead"), "x");
  EXPECT_EQ(read_file(path("there/made")), "x");

  fs::create_symlink("round", path("round"));
  EXPECT_NE(error_of([&] { write_file(path("round"), "x"); }).find("circle"), std::string::npos);
}

TEST_F(Files, WritingNeedsAFolderAndAFileName) {
  EXPECT_NE(error_of([&] { write_file(path("no/a"), "x"); }).find("no/a: cannot create: No such"), std::string::npos);
  EXPECT_NE(error_of([&] { write_file(path(""), "x"); }).find("found a folder"), std::string::npos);
}

// A process that is killed while it writes: its file stays, and goes when it is asked for. That of a process that is
// still there stays too, and so does whatever only looks like one.
TEST_F(Files, WhatAKilledProcessLeftIsRemoved) {
  const pid_t child = ::fork();
  if (child == 0) {
    AtomicFile file(path("model"));
    file.write("half");
    std::_Exit(0);
  }
  ASSERT_GT(child, 0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ASSERT_EQ(names().size(), 1u);
  const AtomicFile ours(path("model"));
  const std::string mine = ours.temporary().filename().string();
  for (const char* name : {".yolov3-unfinished-", ".yolov3-unfinished-x-1", ".yolov3-unfinished-0-1", "a"}) {
    write_file(path(name), "");
  }
  EXPECT_EQ(remove_unfinished_files(path("")), 1);
  EXPECT_EQ(names(), (Names{".yolov3-unfinished-", ".yolov3-unfinished-0-1", mine, ".yolov3-unfinished-x-1", "a"}));
  EXPECT_EQ(remove_unfinished_files(path("")), 0);
}

TEST_F(Files, ListIsSortedAndOfFilesOnly) {
  for (const char* name : {"b", "a10", "a9", "B"}) write_file(path(name), "");
  make_directories(path("deep/er"));
  EXPECT_EQ(names(), (Names{"B", "a10", "a9", "b"}));
  EXPECT_THROW(list_files(path("none")), Error);
  EXPECT_THROW(make_directories(path("b/c")), Error);
  make_directories(path("deep/er"));  // again
}

TEST(ResolveBeside, IsRelativeToTheFileThatNamesIt) {
  EXPECT_EQ(resolve_beside("/data/lists/train.txt", "a.jpg"), "/data/lists/a.jpg");
  EXPECT_EQ(resolve_beside("/data/lists/train.txt", "../a.jpg"), "/data/a.jpg");
  EXPECT_EQ(resolve_beside("/data/lists/train.txt", "/b/a.jpg"), "/b/a.jpg");
  EXPECT_EQ(resolve_beside("train.txt", "a.jpg"), "a.jpg");
}

}  // namespace
}  // namespace yolov3
