// Our packing of kernels against oneDNN's own reorders, bit for bit.
#include "engine/kernel_packing.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <cstring>
#include <dnnl.hpp>
#include <limits>

#include "base/rng.h"
#include "base/tensor.h"
#include "engine/dnnl_train_conv.h"
#include "engine/number_ops.h"

namespace yolov3 {
namespace {

using dnnl::memory;
using tag = memory::format_tag;

const dnnl::engine kEngine(dnnl::engine::kind::cpu, 0);

struct Kernel {
  Conv conv;
  int64_t inputs = 0;
  Tensor numbers;
};

Kernel random_kernel(int filters, int64_t inputs, int size) {
  Kernel kernel{{.filters = filters, .size = size}, inputs, Tensor({filters, size, size, inputs})};
  Rng rng(3);
  for (float& value : kernel.numbers.values()) value = static_cast<float>(rng.uniform(-2, 2));
  return kernel;
}

memory::desc in_form(const Kernel& kernel, tag form, memory::data_type type = memory::data_type::bf16) {
  return {{kernel.conv.filters, kernel.inputs, kernel.conv.size, kernel.conv.size}, type, form};
}

std::vector<uint16_t> by_onednn(Kernel& kernel, const memory::desc& form) {
  std::vector<uint16_t> numbers(form.get_size() / 2, 0xffff);
  memory plain(ohwi_kernel(kernel.conv, kernel.inputs), kEngine, kernel.numbers.data());
  memory packed(form, kEngine, numbers.data());
  dnnl::stream stream(kEngine);
  dnnl::reorder(plain, packed).execute(stream, plain, packed);
  stream.wait();
  return numbers;
}

std::vector<uint16_t> by_us(const Kernel& kernel, const memory::desc& form) {
  std::vector<uint16_t> numbers(form.get_size() / 2, 0xffff);
  pack_output_pairs(kernel.numbers.data(), paired_form(form).value(), numbers.data());
  return numbers;
}

TEST(KernelPacking, IsOneDnnsReorder) {
  for (const tag form : {tag::OIhw8o16i2o, tag::IOhw8o16i2o, tag::OIhw16o16i2o}) {
    for (const auto& [filters, inputs, size] : {std::tuple{64, 64, 1}, {64, 128, 3}, {128, 32, 2}}) {
      Kernel kernel = random_kernel(filters, inputs, size);
      EXPECT_EQ(by_us(kernel, in_form(kernel, form)), by_onednn(kernel, in_form(kernel, form)))
          << static_cast<int>(form) << ": " << filters << " " << inputs << " " << size;
    }
  }
}

// What the gradient of the input wants here is the form that the pass is for, but on processors with other bf16 code.
TEST(KernelPacking, KnowsTheFormOfThisProcessorsGradients) {
  if (!cpu_computes_bf16()) GTEST_SKIP() << "this CPU has no bf16 arithmetic";
  for (const int size : {1, 3}) {
    const LayerShape in{64, 26, 26}, out{128, 26, 26};
    TrainConvTask task{0, {.filters = 128, .size = size, .padding = size / 2, .batch_normalize = true}, in, out, 2};
    const Layout layout = rule_training_plan({in, {}, 1e-5f}, "bf16").layout;
    task.source = task.target = task.gradient = {NumberType::bf16, layout, 1};
    const memory::desc form = solve_train_conv(kEngine, task).data.weights_desc();
    if (!paired_form(form)) GTEST_SKIP() << "oneDNN's reorder packs it";
    Kernel kernel = random_kernel(128, 64, size);
    EXPECT_EQ(by_us(kernel, form), by_onednn(kernel, form)) << size;
  }
}

TEST(KernelPacking, LeavesOtherFormsAlone) {
  const Kernel good = random_kernel(64, 64, 3), odd = random_kernel(24, 64, 3), few = random_kernel(64, 3, 3);
  const auto known = [](const memory::desc& form) { return paired_form(form).has_value(); };
  EXPECT_TRUE(known(in_form(good, tag::OIhw8o16i2o)));
  EXPECT_FALSE(known(in_form(good, tag::OIhw8o16i2o, memory::data_type::f32)));
  EXPECT_FALSE(known(in_form(good, tag::OIhw8i16o2i))) << "pairs of inputs";
  EXPECT_FALSE(known(in_form(good, tag::OIhw16i16o)));
  EXPECT_FALSE(known(in_form(good, tag::OIhw2o8i16o2i)));
  EXPECT_FALSE(known(in_form(good, tag::oihw))) << "no blocks";
  EXPECT_FALSE(known(in_form(odd, tag::OIhw8o16i2o))) << "padding";
  EXPECT_FALSE(known(in_form(few, tag::OIhw8o16i2o)));
  EXPECT_FALSE(known({{2, 32, 32, 3, 3}, memory::data_type::bf16, tag::gOIhw8o16i2o}));
}

TEST(KernelPacking, RoundsSpecialNumbers) {
  Kernel kernel = random_kernel(16, 16, 1);
  const float special[] = {NAN,   -NAN,   1.0f + 0x1p-8f, 1.0f + 3 * 0x1p-8f, std::numeric_limits<float>::max(),
                           -0.0f, 1e-42f, -1e-45f,        0x1.fffffep0,       std::numeric_limits<float>::infinity()};
  for (int64_t i = 0; i < kernel.numbers.size(); ++i) kernel.numbers[i] = special[i % std::ssize(special)];
  const uint32_t low_nan = 0x7f800001u;  // its upper half alone would be an infinity
  std::memcpy(&kernel.numbers[5], &low_nan, sizeof low_nan);
  const std::vector<uint16_t> packed = by_us(kernel, in_form(kernel, tag::OIhw8o16i2o));
  for (size_t o = 0; o < 16; ++o) {
    for (size_t i = 0; i < 16; ++i) {
      EXPECT_EQ(packed[o / 2 * 32 + i * 2 + o % 2], bf16_from_float(kernel.numbers[static_cast<int64_t>(16 * o + i)]))
          << o << " " << i;
    }
  }
}

TEST(KernelPacking, SameBitsForAnyNumberOfThreads) {
  const Kernel kernel = random_kernel(64, 32, 3);
  const int before = omp_get_max_threads();
  std::vector<std::vector<uint16_t>> results;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    results.push_back(by_us(kernel, in_form(kernel, tag::OIhw8o16i2o)));
  }
  omp_set_num_threads(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

}  // namespace
}  // namespace yolov3
