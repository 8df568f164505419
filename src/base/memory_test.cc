#include "base/memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace yolov3 {
namespace {

// No less than this process has held, which includes this test; no more than any machine has.
TEST(Memory, IsThatOfTheMachine) {
  rusage usage{};
  ASSERT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  EXPECT_GT(machine_memory(), 1024 * int64_t{usage.ru_maxrss});
  EXPECT_LT(machine_memory(), int64_t{1} << 50);
}

}  // namespace
}  // namespace yolov3
