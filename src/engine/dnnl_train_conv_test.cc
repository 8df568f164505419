#include "engine/dnnl_train_conv.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace yolov3 {
namespace {

// Memory for a primitive between two zones that it must leave alone.
class Guarded {
 public:
  Guarded(const dnnl::memory::desc& form, const dnnl::engine& engine)
      : size_((form.get_size() + 63) / 64 * 64), bytes_(kZone + size_ + kZone + 64, kUntouched) {
    auto address = reinterpret_cast<uintptr_t>(bytes_.data()) + kZone;
    start_ = bytes_.data() + kZone + (64 - address % 64) % 64;
    std::fill_n(start_, size_, uint8_t{0});
    memory_ = dnnl::memory(form, engine, start_);
  }
  dnnl::memory& memory() { return memory_; }
  float* floats() { return reinterpret_cast<float*>(start_); }
  bool is_whole() const {
    const auto untouched = [](uint8_t byte) { return byte == kUntouched; };
    return std::all_of(bytes_.data(), static_cast<const uint8_t*>(start_), untouched) &&
           std::all_of(static_cast<const uint8_t*>(start_) + size_, bytes_.data() + bytes_.size(), untouched);
  }

 private:
  static constexpr size_t kZone = size_t{1} << 17;
  static constexpr uint8_t kUntouched = 0xA5;
  size_t size_;
  std::vector<uint8_t> bytes_;
  uint8_t* start_ = nullptr;
  dnnl::memory memory_;
};

float number(int64_t i) { return static_cast<float>(std::sin(static_cast<double>(i) * 0.7)); }

// The gradient of a strided 1x1 kernel by its definition: oneDNN 2.6.3's own code for it on channels-last maps writes beyond
// the scratchpad that it asks for.
TEST(TrainConv, TheKernelGradientOfAStrided1x1StaysInItsMemory) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  for (const auto& [channels, filters] : {std::pair{3, 9}, {17, 33}, {16, 32}, {64, 48}}) {
    SCOPED_TRACE(fmt::format("{} -> {}", channels, filters));
    constexpr int64_t kImages = 4, kSide = 64, kOut = kSide / 2;
    const MapFormat format{NumberType::f32, Layout::channels_last, 1};
    const TrainConvTask task{.conv = {.filters = filters, .size = 1, .stride = 2, .padding = 0},
                             .in = {channels, kSide, kSide},
                             .out = {filters, kOut, kOut},
                             .images = kImages,
                             .source = format,
                             .target = format,
                             .gradient = format,
                             .data = false};
    const TrainConvSolution solution = solve_train_conv(engine, task);
    using dnnl::memory;
    const memory::desc planes({kImages, channels, kSide, kSide}, memory::data_type::f32, memory::format_tag::nchw),
        gradients({kImages, filters, kOut, kOut}, memory::data_type::f32, memory::format_tag::nchw),
        plain({filters, channels, 1, 1}, memory::data_type::f32, memory::format_tag::oihw),
        row({filters}, memory::data_type::f32, memory::format_tag::x);
    Guarded x(planes, engine), dy(gradients, engine), dw(plain, engine), bias(row, engine),
        source(solution.weights.src_desc(), engine), target(solution.weights.diff_dst_desc(), engine),
        kernel(solution.weights.diff_weights_desc(), engine), scratchpad(solution.weights.scratchpad_desc(), engine);
    for (int64_t i = 0; i < kImages * channels * kSide * kSide; ++i) x.floats()[i] = number(i);
    for (int64_t i = 0; i < kImages * filters * kOut * kOut; ++i) dy.floats()[i] = number(3 * i + 1);
    dnnl::reorder(x.memory(), source.memory()).execute(stream, x.memory(), source.memory());
    dnnl::reorder(dy.memory(), target.memory()).execute(stream, dy.memory(), target.memory());
    dnnl::convolution_backward_weights(solution.weights)
        .execute(stream, {{DNNL_ARG_SRC, source.memory()},
                          {DNNL_ARG_DIFF_DST, target.memory()},
                          {DNNL_ARG_DIFF_WEIGHTS, kernel.memory()},
                          {DNNL_ARG_DIFF_BIAS, bias.memory()},
                          {DNNL_ARG_SCRATCHPAD, scratchpad.memory()}});
    dnnl::reorder(kernel.memory(), dw.memory()).execute(stream, kernel.memory(), dw.memory());
    stream.wait();
    EXPECT_TRUE(scratchpad.is_whole()) << implementation_name(solution.weights);
    EXPECT_TRUE(kernel.is_whole() && source.is_whole() && target.is_whole() && bias.is_whole());
    for (int64_t f = 0; f < filters; ++f) {
      for (int64_t c = 0; c < channels; ++c) {
        double want = 0;
        for (int64_t n = 0; n < kImages; ++n) {
          for (int64_t p = 0; p < kOut * kOut; ++p) {
            const int64_t pixel = p / kOut * 2 * kSide + p % kOut * 2;
            want += double{dy.floats()[(n * filters + f) * kOut * kOut + p]} *
                    x.floats()[(n * channels + c) * kSide * kSide + pixel];
          }
        }
        // 4096 products, added up in float32; one pixel taken for another would be far beyond.
        ASSERT_NEAR(dw.floats()[f * channels + c], want, 1e-2) << f << "," << c;
      }
    }
  }
}

}  // namespace
}  // namespace yolov3
