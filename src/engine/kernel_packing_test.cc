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

memory::desc in_form(const Kernel& kernel, memory::data_type type, tag form) {
  return {{kernel.conv.filters, kernel.inputs, kernel.conv.size, kernel.conv.size}, type, form};
}

// 0xff where nothing is written.
std::vector<std::byte> by_onednn(Kernel& kernel, const memory::desc& form) {
  std::vector<std::byte> bytes(form.get_size(), std::byte{0xff});
  memory plain(ohwi_kernel(kernel.conv, kernel.inputs), kEngine, kernel.numbers.data());
  memory packed(form, kEngine, bytes.data());
  dnnl::stream stream(kEngine);
  dnnl::reorder(plain, packed).execute(stream, plain, packed);
  stream.wait();
  return bytes;
}

void expect_packed(Kernel kernel, const memory::desc& form) {
  const std::optional<KernelForm> known = kernel_form(form);
  ASSERT_TRUE(known);
  std::vector<std::byte> got(form.get_size(), std::byte{0xff});
  pack_kernel(kernel.numbers.data(), *known, got.data());
  ASSERT_EQ(got, by_onednn(kernel, form));
  if (known->type != NumberType::f32 || known->inside != KernelForm::Inside::outputs) return;
  Tensor back(kernel.numbers.shape());
  const double squares = unpack_kernel(reinterpret_cast<const float*>(got.data()), *known, back.data());
  EXPECT_EQ(back, kernel.numbers);
  double want = 0;
  for (const float value : kernel.numbers.values()) want += static_cast<double>(value) * value;
  EXPECT_NEAR(squares, want, 1e-12 * want);
}

TEST(KernelPacking, IsOneDnnsReorder) {
  const std::pair<memory::data_type, std::vector<tag>> forms[] = {
      {memory::data_type::f32,
       {tag::OIhw16i16o, tag::OIhw16o16i, tag::IOhw16o16i, tag::IOhw16i16o, tag::OIhw16i32o, tag::OIhw16i64o,
        tag::OIhw8i8o, tag::OIhw8o8i, tag::Ohwi8o, tag::Ohwi16o, tag::Ohwi32o, tag::OhwI32o}},
      {memory::data_type::bf16,
       {tag::OIhw8i16o2i, tag::OIhw8o16i2o, tag::IOhw8o16i2o, tag::OIhw8i32o2i, tag::OIhw8i64o2i, tag::OIhw16i16o2i,
        tag::OIhw16i32o2i, tag::OIhw16i64o2i, tag::OhwI16o2i, tag::OhwI32o2i, tag::OhwI64o2i, tag::OhwI16i64o2i}}};
  for (const auto& [type, tags] : forms) {
    for (const tag form : tags) {
      for (const auto& [filters, inputs, size] : {std::tuple{64, 64, 1}, {64, 128, 3}, {128, 64, 2}}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(form) << ": " << filters << " " << inputs << " " << size);
        const Kernel kernel = random_kernel(filters, inputs, size);
        expect_packed(kernel, in_form(kernel, type, form));
        if (HasFatalFailure()) return;
      }
    }
  }
}

// What the primitives of a training step want here, whatever that is.
TEST(KernelPacking, KnowsTheFormsOfThisProcessorsPrimitives) {
  const LayerShape in{64, 26, 26};
  for (const NumberType type : {NumberType::f32, NumberType::bf16}) {
    if (type == NumberType::bf16 && !cpu_computes_bf16()) continue;
    for (const int size : {1, 3}) {
      TrainConvTask task{
          0, {.filters = 128, .size = size, .padding = size / 2, .batch_normalize = true}, in, {128, 26, 26}, 2};
      const NetworkSpec any{in, {}, 1e-5f};
      const Layout layout = rule_training_plan(any, to_string(type)).layout;
      task.source = task.target = task.gradient = {type, layout, 1};
      const TrainConvSolution found = solve_train_conv(kEngine, task);
      const Kernel kernel = random_kernel(128, 64, size);
      for (const memory::desc& form :
           {found.forward.weights_desc(), found.data.weights_desc(), found.weights.diff_weights_desc()}) {
        SCOPED_TRACE(testing::Message() << to_string(type) << " " << size << "x" << size);
        expect_packed(kernel, form);
      }
    }
  }
}

TEST(KernelPacking, LeavesOtherFormsAlone) {
  const auto known = [](const memory::desc& form) { return kernel_form(form).has_value(); };
  const memory::dims dims{64, 64, 3, 3}, odd{24, 64, 3, 3}, few{64, 3, 3, 3}, groups{2, 32, 32, 3, 3};
  EXPECT_TRUE(known({dims, memory::data_type::f32, tag::OIhw16i16o}));
  EXPECT_FALSE(known({odd, memory::data_type::f32, tag::OIhw16i16o})) << "padding";
  EXPECT_FALSE(known({few, memory::data_type::f32, tag::Ohwi16o}));
  EXPECT_FALSE(known({groups, memory::data_type::f32, tag::gOIhw16i16o}));
  EXPECT_FALSE(known({dims, memory::data_type::f32, tag::oihw})) << "no blocks";
  EXPECT_FALSE(known({dims, memory::data_type::f32, tag::OIhw8i16o2i})) << "bf16's pairs";
  EXPECT_FALSE(known({dims, memory::data_type::bf16, tag::OIhw16i16o}));
  EXPECT_FALSE(known({dims, memory::data_type::s8, tag::OIhw4i16o4i}));
}

TEST(KernelPacking, RoundsSpecialNumbersToBf16) {
  Kernel kernel = random_kernel(16, 16, 1);
  const float special[] = {NAN,
                           -NAN,
                           1.0f + 0x1p-8f,
                           1.0f + 3 * 0x1p-8f,
                           std::numeric_limits<float>::max(),
                           -0.0f,
                           1e-42f,
                           std::numeric_limits<float>::infinity(),
                           -1e-45f,
                           0x1.fffffep0};
  for (int64_t i = 0; i < kernel.numbers.size(); ++i) kernel.numbers[i] = special[i % std::ssize(special)];
  // A NaN whose bits above bf16's are all zero must not become an infinity.
  const uint32_t low_nan = 0x7f800001u;
  std::memcpy(&kernel.numbers[5], &low_nan, sizeof low_nan);
  for (const tag form : {tag::OIhw8i16o2i, tag::OIhw8o16i2o}) {
    std::vector<uint16_t> packed(256);
    pack_kernel(kernel.numbers.data(), *kernel_form(in_form(kernel, memory::data_type::bf16, form)), packed.data());
    for (size_t o = 0; o < 16; ++o) {
      for (size_t i = 0; i < 16; ++i) {
        const size_t place = form == tag::OIhw8i16o2i ? i / 2 * 32 + o * 2 + i % 2 : o / 2 * 32 + i * 2 + o % 2;
        EXPECT_EQ(packed[place], bf16_from_float(kernel.numbers[static_cast<int64_t>(16 * o + i)])) << o << " " << i;
      }
    }
  }
}

TEST(KernelPacking, SameBitsForAnyNumberOfThreads) {
  const Kernel kernel = random_kernel(64, 32, 3);
  const KernelForm form = *kernel_form(in_form(kernel, memory::data_type::bf16, tag::OIhw8i16o2i));
  const int before = omp_get_max_threads();
  std::vector<std::vector<uint16_t>> results;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    results.emplace_back(static_cast<size_t>(kernel.numbers.size()));
    pack_kernel(kernel.numbers.data(), form, results.back().data());
  }
  omp_set_num_threads(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

}  // namespace
}  // namespace yolov3
