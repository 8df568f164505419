// After a warm-up picture, finding boxes allocates nothing: this program's own operator new counts, also under the
// sanitizers, whose malloc stands below it.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "base/rng.h"
#include "detect/detector.h"

namespace {
std::atomic<int64_t> allocations = 0;

void* counted(std::size_t size, std::size_t alignment = alignof(std::max_align_t)) {
  ++allocations;
  return std::aligned_alloc(alignment, (size + alignment) / alignment * alignment);  // never nothing
}

void* counted_or_throw(std::size_t size, std::size_t alignment = alignof(std::max_align_t)) {
  if (void* memory = counted(size, alignment)) return memory;
  throw std::bad_alloc();
}
}  // namespace

// g++ takes the forms below for a mismatch with its own where it sees through them.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

// All forms that are used: a sanitizer has forms of its own, which do not call these.
void* operator new(std::size_t size) { return counted_or_throw(size); }
void* operator new[](std::size_t size) { return counted_or_throw(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return counted(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return counted(size); }
void* operator new(std::size_t size, std::align_val_t align) {
  return counted_or_throw(size, static_cast<std::size_t>(align));
}
void* operator new[](std::size_t size, std::align_val_t align) {
  return counted_or_throw(size, static_cast<std::size_t>(align));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace yolov3 {
namespace {

constexpr int kClasses = 20;
constexpr int64_t kChannels = 2 * (5 + kClasses);

// A 32x32 convolution and a head of two anchors over 8x8 cells.
NetworkSpec spec_of_one_head() {
  NetworkSpec spec;
  spec.input = {3, 256, 256};
  Conv conv;
  conv.filters = kChannels;
  conv.size = conv.stride = 32;
  Yolo yolo;
  yolo.anchors = {{16, 16}, {90, 60}};
  yolo.mask = {0, 1};
  yolo.classes = kClasses;
  spec.layers = {{{kNetworkInput}, conv, {kChannels, 8, 8}}, {{0}, yolo, {kChannels, 8, 8}}};
  return spec;
}

// Random maps for up to two pictures, the first call's more crowded than all others. Allocates one vector a call, as
// the interface wants it.
class RandomEngine : public Engine {
 public:
  explicit RandomEngine(bool interleaved) {
    view_.images = 2;
    view_.channels = kChannels;
    view_.height = view_.width = 8;
    view_.image_stride = kChannels * 64;
    view_.channel_stride = interleaved ? 1 : 64;
    view_.cell_stride = interleaved ? kChannels : 1;
    memory_.resize(static_cast<size_t>(2 * view_.image_stride));
    view_.data = memory_.data();
  }
  std::vector<Tensor> forward(const Tensor&) override { return {}; }
  std::vector<RawMap> forward_pictures(std::span<const Image>) override {
    for (float& logit : memory_) logit = static_cast<float>(rng_.normal() + (calls_ == 0 ? 1 : -2));
    ++calls_;
    return {view_};
  }
  std::string name() const override { return "random"; }

 private:
  RawMap view_;
  std::vector<float> memory_;
  Rng rng_{4};
  int calls_ = 0;
};

class NoAllocation : public ::testing::TestWithParam<std::tuple<bool, bool>> {};

TEST_P(NoAllocation, AfterTheFirstBatch) {
  const auto [interleaved, multi_label] = GetParam();
  DetectOptions options;
  options.decode = {.score_threshold = 0.1f, .multi_label = multi_label};
  options.nms.max_detections = 0;
  Detector detector(spec_of_one_head(), std::make_unique<RandomEngine>(interleaved), options);
  const std::vector<LoadedImage> pictures = {{Image(300, 400, 10), 300, 400}, {Image(400, 200, 20), 800, 400}};
  std::vector<std::vector<Detection>> found;
  detector.detect_into(pictures, found);
  const size_t most = found[0].size();
  int64_t objects = 0;
  const int64_t before = allocations;
  for (int i = 0; i < 20; ++i) {
    detector.detect_into(pictures, found);
    objects += static_cast<int64_t>(found[0].size() + found[1].size());
  }
  EXPECT_EQ(allocations - before, 20) << "the engine's vector of maps, once a batch";
  EXPECT_GT(objects, 20);
  EXPECT_LT(objects, static_cast<int64_t>(40 * most));
}

INSTANTIATE_TEST_SUITE_P(LayoutsAndLabels, NoAllocation, ::testing::Combine(::testing::Bool(), ::testing::Bool()));

TEST(AllocationCounter, Counts) {
  const int64_t before = allocations;
  const auto number = std::make_unique<int>(1);
  EXPECT_EQ(*number, 1);
  EXPECT_EQ(allocations - before, 1);
}

}  // namespace
}  // namespace yolov3
