// For tests of the loader: small batches, an epoch of them, and whether two are the same to the last bit.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "data/loader.h"

namespace yolov3 {

inline LoaderOptions small_options(int workers) {
  LoaderOptions options;
  options.batch = 4;
  options.width = 64;
  options.height = 64;
  options.workers = workers;
  options.prefetch = 3;
  options.seed = 5;
  return options;
}

inline std::vector<Batch> run_epoch(Loader& loader, int64_t epoch, int64_t first = 0) {
  std::vector<Batch> batches;
  loader.start_epoch(epoch, first);
  while (auto batch = loader.next()) batches.push_back(std::move(*batch));
  return batches;
}

inline void expect_same(const Batch& a, const Batch& b, const std::string& what) {
  EXPECT_TRUE(a.images == b.images) << what;
  EXPECT_EQ(a.objects_net, b.objects_net) << what;
  EXPECT_EQ(a.examples, b.examples) << what;
  EXPECT_EQ(a.image_sizes, b.image_sizes) << what;
  EXPECT_TRUE(std::ranges::equal(a.letterboxes, b.letterboxes, same_letterbox)) << what;
}

inline void expect_same(const std::vector<Batch>& a, const std::vector<Batch>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); ++i) expect_same(a[i], b[i], what + ", batch " + std::to_string(i));
}

}  // namespace yolov3
