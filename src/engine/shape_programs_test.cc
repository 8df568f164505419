#include "engine/shape_programs.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "net/builder.h"

namespace yolov3 {
namespace {

// Takes a million bytes a picture, and knows where it was placed last.
struct FakeProgram {
  int64_t images = 0;
  LayerShape input;
  std::byte* at = nullptr;
  int64_t arena_bytes() const { return images * 1'000'000; }
  void place(std::byte* arena) { at = arena; }
};

class ShapeProgramsTest : public testing::Test {
 protected:
  FakeProgram& get(const BatchShape& shape) {
    return programs.get(shape, spec, [&](const NetworkSpec& sized, int64_t images) {
      ++made;
      return std::make_unique<FakeProgram>(images, sized.input);
    });
  }
  std::vector<int64_t> kept() const {  // by their images
    std::vector<int64_t> images;
    for (const auto& entry : programs.entries()) images.push_back(entry.shape.images);
    return images;
  }

  const NetworkSpec spec =
      NetworkBuilder({3, 64, 32}).conv(6, 3, 2, Activation::linear, false).yolo({{4, 4}}, {0}, 1).build();
  ShapePrograms<FakeProgram> programs{3};
  int made = 0;
};

TEST_F(ShapeProgramsTest, MakesAProgramOnceAndForItsSize) {
  FakeProgram& first = get({1, 64, 32});
  EXPECT_EQ(first.input, (LayerShape{3, 64, 32}));
  EXPECT_EQ(&get({1, 64, 32}), &first);
  EXPECT_EQ(made, 1);
  EXPECT_EQ(get({1, 96, 128}).input, (LayerShape{3, 96, 128}));
  EXPECT_EQ(get({2, 64, 32}).images, 2);
  EXPECT_EQ(made, 3);
  EXPECT_THROW(get({1, 63, 32}), Error) << "no multiple of the stride";
  EXPECT_EQ(programs.entries().size(), 3u) << "an error leaves all as it was";
}

TEST_F(ShapeProgramsTest, TheOneUnusedForLongestGoes) {
  for (const int64_t images : {1, 2, 3}) get({images, 64, 32});
  get({1, 64, 32});
  EXPECT_EQ(kept(), (std::vector<int64_t>{1, 3, 2}));
  get({4, 64, 32});
  EXPECT_EQ(kept(), (std::vector<int64_t>{4, 1, 3}));
  get({2, 64, 32});
  EXPECT_EQ(made, 5) << "it was made anew";
}

TEST_F(ShapeProgramsTest, AllLieInOneArenaThatGrowsAndShrinks) {
  FakeProgram& small = get({1, 64, 32});
  EXPECT_EQ(programs.arena_bytes(), 1'000'000);
  const FakeProgram& large = get({8, 64, 32});
  EXPECT_EQ(programs.arena_bytes(), 8'000'000);
  EXPECT_NE(large.at, nullptr);
  EXPECT_EQ(small.at, large.at) << "placed anew";
  EXPECT_EQ(reinterpret_cast<uintptr_t>(large.at) % 64, 0u);
  for (const int64_t images : {5, 6, 7}) get({images, 64, 32});
  EXPECT_EQ(programs.arena_bytes(), 8'000'000) << "what is kept takes more than half of it";
  for (const int64_t images : {1, 2, 3}) get({images, 64, 32});
  EXPECT_EQ(programs.arena_bytes(), 3'000'000);
}

TEST_F(ShapeProgramsTest, WithoutMemoryNoProgramStays) {
  get({1, 64, 32});
  EXPECT_ANY_THROW(get({5'000'000'000'000, 64, 32}));
  EXPECT_TRUE(programs.entries().empty());
  EXPECT_NE(get({1, 64, 32}).at, nullptr) << "and it works as before";
}

}  // namespace
}  // namespace yolov3
