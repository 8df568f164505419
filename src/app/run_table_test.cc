#include "app/run_table.h"

#include <gtest/gtest.h>

#include <cmath>

namespace yolov3 {
namespace {

TEST(RunTable, ColumnsByName) {
  const RunTable table = parse_run_table("epoch,time,metrics/mAP_0.5\n0,1.5,\n1,3,0.25\n");
  ASSERT_EQ(table.rows(), 2u);
  EXPECT_EQ((*table.column("time"))[1], 3);
  EXPECT_TRUE(std::isnan((*table.column("metrics/mAP_0.5"))[0]));
  EXPECT_EQ((*table.column("metrics/mAP_0.5"))[1], 0.25);
  EXPECT_EQ(table.column("loss"), nullptr);
}

TEST(RunTable, AHalfWrittenLineWaits) {
  const std::string whole = "epoch,loss\n0,0.125\n1,0.0625\n";
  for (size_t length = 0; length <= whole.size(); ++length) {
    const RunTable table = parse_run_table(whole.substr(0, length));
    const size_t want = length == whole.size() ? 2 : length >= 19 ? 1 : 0;
    EXPECT_EQ(table.rows(), want) << length;
    if (want > 0) {
      EXPECT_EQ((*table.column("loss"))[0], 0.125);
    }
  }
}

TEST(RunTable, OtherProgramsAndNonsense) {
  const RunTable other =
      parse_run_table("                  epoch,         train/loss\r\n      0,   1.5\r\n  junk\n1,nan\n2,3,4\n");
  ASSERT_EQ(other.columns, (std::vector<std::string>{"epoch", "train/loss"}));
  ASSERT_EQ(other.rows(), 2u);
  EXPECT_EQ(other.values[1][0], 1.5);
  EXPECT_TRUE(std::isnan(other.values[1][1]));
  EXPECT_EQ(parse_run_table("").rows(), 0u);
  EXPECT_EQ(parse_run_table("\n\n\n").rows(), 0u);
  EXPECT_EQ(parse_run_table(std::string(1000, ',') + "\n1,2\n").columns.size(),
            2u);  // more than 64 columns are no header
}

TEST(RunTable, ManyRowsAreThinnedOutAndTheLastIsKept) {
  std::string csv = "epoch\n";
  for (int i = 0; i < 1000; ++i) csv += std::to_string(i) + "\n";
  const std::vector<double> epochs = parse_run_table(csv, 100).values[0];
  ASSERT_EQ(epochs.size(), 101u);
  EXPECT_EQ(epochs[1], 10);
  EXPECT_EQ(epochs.back(), 999);
}

}  // namespace
}  // namespace yolov3
