#include "train/transfer.h"

#include <gtest/gtest.h>

#include "net/models.h"

namespace yolov3 {
namespace {

Model source_model(const std::vector<std::string>& names) {
  const NetworkSpec spec = yolov3_tiny({.classes = static_cast<int>(names.size()), .width = 32, .height = 32});
  return {spec, random_weights(spec, {.seed = 1}), names, {}};
}

size_t slot_of(const NetworkSpec& spec, int layer, ParamKind kind) {
  const std::vector<ParamSlot> slots = param_slots(spec);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].layer == layer && slots[i].kind == kind) return i;
  }
  ADD_FAILURE() << "no such slot";
  return 0;
}

TEST(Transfer, TheSameNetworkIsLoadedWhole) {
  const Model source = source_model({"a", "b"});
  Weights weights = random_weights(source.spec, {.seed = 2});
  const TransferReport report = transfer_weights(source, source.spec, source.names, weights);
  EXPECT_EQ(weights, source.weights);
  EXPECT_EQ(report.fresh + report.partial, 0);
}

TEST(Transfer, HeadRowsFollowTheClassNames) {
  const Model source = source_model({"cat", "dog", "bird"});
  const std::vector<std::string> names{"bird", "horse"};  // bird was class 2, horse is new
  const NetworkSpec spec = yolov3_tiny({.classes = 2, .width = 32, .height = 32});
  const Weights fresh = random_weights(spec, {.seed = 2});
  Weights weights = fresh;
  const TransferReport report = transfer_weights(source, spec, names, weights);
  EXPECT_EQ(report.partial, 4);  // kernel and bias of two heads
  EXPECT_EQ(report.fresh, 0);

  const int head_conv = 15;
  const size_t bias = slot_of(spec, head_conv, ParamKind::bias), kernel = slot_of(spec, head_conv, ParamKind::kernel);
  const int64_t in = weights.tensors[kernel].dim(1);
  for (int64_t anchor = 0; anchor < 3; ++anchor) {
    const int64_t to = anchor * 7, from = anchor * 8;
    for (int64_t row = 0; row < 5; ++row) {
      EXPECT_EQ(weights.tensors[bias][to + row], source.weights.tensors[bias][from + row]);
      EXPECT_EQ(weights.tensors[kernel][(to + row) * in], source.weights.tensors[kernel][(from + row) * in]);
    }
    EXPECT_EQ(weights.tensors[kernel][(to + 5) * in], source.weights.tensors[kernel][(from + 5 + 2) * in]) << "bird";
    EXPECT_EQ(weights.tensors[kernel][(to + 6) * in], fresh.tensors[kernel][(to + 6) * in]) << "horse stays fresh";
  }
}

TEST(Transfer, AnotherNetworkGivesWhatFitsAndSaysTheRest) {
  const Model source = source_model({"a"});
  const NetworkSpec spec = yolov3({.classes = 1, .width = 32, .height = 32});
  Weights weights = random_weights(spec, {.seed = 2});
  const TransferReport report = transfer_weights(source, spec, {"a"}, weights);
  EXPECT_GT(report.fresh, 0);
  EXPECT_NE(report.table.find("fresh"), std::string::npos);
  EXPECT_NE(report.table.find("skipped"), std::string::npos);
}

}  // namespace
}  // namespace yolov3
