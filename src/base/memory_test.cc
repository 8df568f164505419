#include "base/memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/files.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

// A system of text files.
class FakeSystem : public ::testing::Test {
 protected:
  FakeSystem() {
    std::string name = (fs::temp_directory_path() / "yolov3-memory-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Error("cannot make a folder for the test");
    root_ = name;
  }
  ~FakeSystem() override { fs::remove_all(root_); }

  void put(const std::string& file, const std::string& text) {
    make_directories((root_ / file).parent_path());
    write_file(root_ / file, text);
  }

  fs::path root_;
};

TEST_F(FakeSystem, WithoutGroupsTheMachineDecides) {
  EXPECT_EQ(available_memory(root_), -1);
  put("proc/meminfo", "MemTotal:       8000 kB\nMemFree:         100 kB\nMemAvailable:   5000 kB\n");
  EXPECT_EQ(available_memory(root_), 5000 * 1024);
}

TEST_F(FakeSystem, TheTightestGroupOfVersion2Decides) {
  put("proc/meminfo", "MemAvailable:   5000000 kB\n");
  put("proc/self/cgroup", "0::/user/job\n");
  put("sys/fs/cgroup/user/job/memory.max", "max\n");
  put("sys/fs/cgroup/user/job/memory.current", "900000\n");
  EXPECT_EQ(available_memory(root_), 5000000LL * 1024);
  put("sys/fs/cgroup/user/memory.max", "2000000\n");  // the group above has the limit
  put("sys/fs/cgroup/user/memory.current", "1500000\n");
  put("sys/fs/cgroup/user/memory.stat", "anon 1000\nfile 400000\ninactive_file 300000\nactive_file 100000\n");
  EXPECT_EQ(available_memory(root_), 2000000 - 1500000 + 300000);
  put("sys/fs/cgroup/user/job/memory.max", "1000000\n");
  EXPECT_EQ(available_memory(root_), 100000);
  put("sys/fs/cgroup/user/job/memory.current", "1000001\n");
  EXPECT_EQ(available_memory(root_), 0);
}

// In a container the group's path is that of the host and is not there; the mount itself has the files.
TEST_F(FakeSystem, AContainersOwnGroupIsTheMount) {
  put("proc/meminfo", "MemAvailable:   5000000 kB\n");
  put("proc/self/cgroup", "0::/\n");
  put("sys/fs/cgroup/memory.max", "700000\n");
  put("sys/fs/cgroup/memory.current", "200000\n");
  EXPECT_EQ(available_memory(root_), 500000);
  put("proc/self/cgroup", "0::/kubepods/pod1\n");
  EXPECT_EQ(available_memory(root_), 500000);
}

TEST_F(FakeSystem, Version1HasOtherNames) {
  put("proc/meminfo", "MemAvailable:   5000000 kB\n");
  put("proc/self/cgroup", "11:cpu,cpuacct:/job\n9:memory:/job\n1:name=systemd:/job\n");
  put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "800000\n");
  put("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "300000\n");
  put("sys/fs/cgroup/memory/job/memory.stat", "inactive_file 5\ntotal_inactive_file 100000\n");
  EXPECT_EQ(available_memory(root_), 600000);
}

// No less than this process has held, which includes this test; no more than any machine has.
TEST(Memory, IsThatOfTheMachine) {
  rusage usage{};
  ASSERT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  EXPECT_GT(machine_memory(), 1024 * int64_t{usage.ru_maxrss});
  EXPECT_LT(machine_memory(), int64_t{1} << 50);
}

TEST(Memory, OfThisProcess) {
  EXPECT_GT(available_memory(), 0);
  const int64_t before = process_memory();
  EXPECT_GT(before, 0);
  constexpr size_t kBytes = 64 << 20;
  std::vector<char> block(kBytes);
  std::memset(block.data(), 1, kBytes);
  EXPECT_GE(process_memory(), before + static_cast<int64_t>(kBytes) * 9 / 10);
  EXPECT_GE(peak_memory(), before + static_cast<int64_t>(kBytes) * 9 / 10);
  EXPECT_EQ(block[kBytes / 2], 1);
}

}  // namespace
}  // namespace yolov3
