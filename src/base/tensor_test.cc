#include "base/tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

#include "base/error.h"

namespace yolov3 {
namespace {

TEST(Tensor, BeginsAsAlignedZeros) {
  for (const int64_t size : {1, 15, 16, 17, 1000}) {
    const Tensor tensor({size});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data()) % 64, 0u) << size;
    EXPECT_TRUE(std::all_of(tensor.values().begin(), tensor.values().end(), [](float x) { return x == 0; }));
    EXPECT_EQ(tensor.size(), size);
  }
}

TEST(Tensor, LastIndexRunsFastest) {
  Tensor tensor({2, 3, 4, 5});
  ASSERT_EQ(tensor.size(), 120);
  tensor.at(1, 2, 3, 4) = 8;
  tensor.at(0, 0, 1, 2) = 9;
  tensor.at(1, 0, 0, 0) = 10;
  EXPECT_EQ(tensor[119], 8);
  EXPECT_EQ(tensor[7], 9);
  EXPECT_EQ(tensor[60], 10);
  EXPECT_EQ(tensor.dim(3), 5);
  EXPECT_EQ(to_string(tensor.shape()), "(2,3,4,5)");
}

TEST(Tensor, CopiesAreDeep) {
  Tensor one({2, 2});
  one[3] = 5;
  Tensor copy = one, assigned({7});
  assigned = one;
  EXPECT_EQ(copy, one);
  EXPECT_EQ(assigned, one);
  one[3] = 6;
  EXPECT_EQ(copy[3], 5);
  EXPECT_EQ(assigned[3], 5);
  EXPECT_FALSE(copy == one);
  Tensor& itself = one;
  one = itself;
  EXPECT_EQ(one[3], 6);
}

TEST(Tensor, MoveKeepsTheMemory) {
  Tensor one({4});
  const float* memory = one.data();
  const Tensor other = std::move(one);
  EXPECT_EQ(other.data(), memory);
}

TEST(Tensor, EqualNeedsTheSameShape) {
  EXPECT_EQ(Tensor({2, 3}), Tensor({2, 3}));
  EXPECT_FALSE(Tensor({2, 3}) == Tensor({3, 2}));
  EXPECT_EQ(Tensor(), Tensor(Tensor()));
}

TEST(Tensor, EmptyAndScalarShapes) {
  EXPECT_TRUE(Tensor().empty());
  EXPECT_TRUE(Tensor({3, 0, 2}).empty());
  EXPECT_EQ(Tensor(Shape{}).size(), 1);  // no axis: one number
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({5, 0}), 0);
}

TEST(Tensor, ImpossibleShapesAreErrors) {
  const int64_t big = int64_t{1} << 40;
  EXPECT_THROW(Tensor({-1}), Error);
  EXPECT_THROW(Tensor({2, -3, -4}), Error);
  EXPECT_THROW(Tensor({big, big}), Error);
  EXPECT_THROW(Tensor({int64_t{1} << 62}), Error);  // countable, but its bytes are not
  EXPECT_THROW(Tensor({INT64_MAX}), Error);
  EXPECT_THROW(element_count({INT64_MIN}), Error);
}

}  // namespace
}  // namespace yolov3
