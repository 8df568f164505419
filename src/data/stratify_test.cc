#include "data/stratify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace yolov3 {
namespace {

// 100 pictures: each has class 0, every tenth class 1, every 25th class 2, and 20 more backgrounds.
std::vector<Example> pictures() {
  std::vector<Example> all(120);
  for (size_t i = 0; i < 100; ++i) {
    const auto add = [&](int class_id) { all[i].objects.push_back({{0, 0, 1, 1}, class_id, false, false, 1}); };
    add(0);
    if (i % 10 == 0) add(1);
    if (i % 25 == 3) add(2);
  }
  return all;
}

TEST(Stratify, EveryClassIsDealtOutByTheShares) {
  const std::vector<Example> all = pictures();
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const std::vector<size_t> split = stratify(all, 3, {}, {0.5, 0.25, 0.25}, seed);
    std::vector<int> count(3), class1(3), class2(3);
    for (size_t i = 0; i < all.size(); ++i) {
      ++count.at(split[i]);
      if (i < 100 && i % 10 == 0) ++class1[split[i]];
      if (i < 100 && i % 25 == 3) ++class2[split[i]];
    }
    EXPECT_EQ(count, (std::vector<int>{60, 30, 30})) << seed;
    EXPECT_EQ(class2, (std::vector<int>{2, 1, 1})) << seed;
    EXPECT_EQ(class1[0], 5) << seed;  // of 10; the quarters are 2.5 each
    EXPECT_GE(std::min(class1[1], class1[2]), 2) << seed;
  }
  EXPECT_EQ(stratify(all, 3, {}, {0.5, 0.5}, 7), stratify(all, 3, {}, {0.5, 0.5}, 7));
  EXPECT_NE(stratify(all, 3, {}, {0.5, 0.5}, 7), stratify(all, 3, {}, {0.5, 0.5}, 8));
}

TEST(Stratify, CopiesStayTogetherAndAShareOfNothingGetsNothing) {
  const std::vector<Example> all = pictures();
  const std::vector<std::vector<size_t>> groups = {{0, 10, 50}, {3, 119}};
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const std::vector<size_t> split = stratify(all, 3, groups, {0.8, 0.2, 0}, seed);
    for (const auto& group : groups) {
      for (const size_t i : group) EXPECT_EQ(split[i], split[group[0]]);
    }
    EXPECT_EQ(std::count(split.begin(), split.end(), 2u), 0);
    EXPECT_NEAR(static_cast<double>(std::count(split.begin(), split.end(), 1u)), 24, 2);
  }
}

// As many classes as LVIS has: the time must not grow with classes times classes times pictures.
TEST(Stratify, ManyClassesAreDealtOut) {
  constexpr size_t kClasses = 1200, kPictures = 20'000;
  std::vector<Example> all(kPictures);
  Rng rng(4);
  for (Example& picture : all) {
    for (int i = 0; i < 3; ++i) {
      const auto k = static_cast<int>(rng.integer(0, kClasses - 1));
      picture.objects.push_back({{0, 0, 1, 1}, k, false, false, 1});
    }
  }
  const std::vector<size_t> split = stratify(all, kClasses, {}, {0.8, 0.2}, 1);
  std::vector<double> objects(kClasses), val(kClasses);
  for (size_t i = 0; i < kPictures; ++i) {
    for (const Annotation& object : all[i].objects) {
      ++objects[static_cast<size_t>(object.class_id)];
      val[static_cast<size_t>(object.class_id)] += split[i] == 1;
    }
  }
  double sum = 0;
  for (size_t k = 0; k < kClasses; ++k) sum += std::abs(val[k] / objects[k] - 0.2);
  EXPECT_LT(sum / kClasses, 0.0226) << "half of what a lot gives: 0.8 * sqrt(0.2 * 0.8 / 50 objects) / 2";
}

}  // namespace
}  // namespace yolov3
