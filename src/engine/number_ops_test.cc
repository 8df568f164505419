#include "engine/number_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/rng.h"

namespace yolov3 {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// By hand: bf16 keeps 8 bits of the significand, so that the neighbours of 1 are 1 + 2^-7 and 1 - 2^-8.
TEST(NumberOps, Bf16RoundsToNearestEven) {
  EXPECT_EQ(bf16_from_float(1.0f), 0x3f80);
  EXPECT_EQ(bf16_from_float(1.0f + 0x1p-8f), 0x3f80) << "half way: to the even one";
  EXPECT_EQ(bf16_from_float(1.0f + 0x1p-8f + 0x1p-20f), 0x3f81);
  EXPECT_EQ(bf16_from_float(1.0f + 3 * 0x1p-8f), 0x3f82) << "half way: to the even one";
  EXPECT_EQ(bf16_from_float(-2.5f), 0xc020);
  EXPECT_EQ(bf16_from_float(0.0f), 0);
  EXPECT_EQ(bf16_from_float(kInfinity), 0x7f80);
  EXPECT_EQ(bf16_from_float(std::numeric_limits<float>::max()), 0x7f80) << "rounds up to infinity";
  EXPECT_TRUE(std::isnan(float_from_bf16(bf16_from_float(NAN))));
  EXPECT_EQ(float_from_bf16(0x4049), 3.140625f);
}

TEST(NumberOps, Int8RoundsToNearestEvenAndSaturates) {
  const float values[] = {0.0f,   0.5f,   1.5f, 2.5f,  -0.5f,     -1.5f,      126.4f,
                          126.6f, 127.4f, 1e9f, -1e9f, kInfinity, -kInfinity, NAN};
  const int8_t want[] = {0, 0, 2, 2, 0, -2, 126, 127, 127, 127, -127, 127, -127, -127};
  int8_t got[std::size(values)];
  from_floats(values, got, NumberType::s8, 1.0f, std::size(values));
  for (size_t i = 0; i < std::size(values); ++i) EXPECT_EQ(got[i], want[i]) << values[i];
  float scaled[] = {3.0f, -25.0f};
  from_floats(scaled, got, NumberType::s8, 0.25f, 2);
  EXPECT_EQ(got[0], 12);
  EXPECT_EQ(got[1], -100);
  float back[2];
  to_floats({got, NumberType::s8, 0.25f}, back, 2);
  EXPECT_EQ(back[0], 3.0f);
  EXPECT_EQ(back[1], -25.0f);
}

// The formulas of net/spec.h, in double.
double activated(Activation activation, double x) {
  const double sigmoid = 1 / (1 + std::exp(-x));
  switch (activation) {
    case Activation::linear: return x;
    case Activation::leaky: return x > 0 ? x : 0.1 * x;
    case Activation::relu: return x > 0 ? x : 0;
    case Activation::logistic: return sigmoid;
    case Activation::mish: return x * std::tanh(std::log1p(std::exp(x)));
    case Activation::swish: return x * sigmoid;
  }
  return NAN;
}

class Numbers {
 public:
  Numbers(NumberType type, int64_t count, uint64_t seed) : type_(type), bytes_(static_cast<size_t>(count * 4)) {
    Rng rng(seed);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = static_cast<float>(rng.uniform(-3, 3));
    from_floats(values.data(), bytes_.data(), type, scale(), count);
    to_floats(row(), values.data(), count);
    exact_ = values;
  }
  float scale() const { return type_ == NumberType::s8 ? 3.0f / 127 : 1.0f; }
  Row row() const { return {bytes_.data(), type_, scale()}; }
  const std::vector<float>& exact() const { return exact_; }
  std::byte* bytes() { return bytes_.data(); }

 private:
  NumberType type_;
  std::vector<std::byte> bytes_;
  std::vector<float> exact_;
};

// Half a unit of the last place of the output, and a few roundings of f32 on the way.
double tolerance(NumberType type, double value, double scale) {
  const double f32 = 8 * 0x1p-24 * std::max(1.0, std::abs(value));
  if (type == NumberType::bf16) return f32 + 0x1p-8 * std::abs(value);
  return type == NumberType::s8 ? f32 + 0.5001 * scale : f32;
}

TEST(NumberOps, EveryTypeActivationAndOrder) {
  constexpr int64_t kCount = 2061;  // two pieces and a rest that fills no vector
  const NumberType types[] = {NumberType::f32, NumberType::bf16, NumberType::s8};
  const Activation activations[] = {Activation::linear,   Activation::leaky, Activation::relu,
                                    Activation::logistic, Activation::mish,  Activation::swish};
  for (const NumberType in_type : types) {
    for (const NumberType addend_type : types) {
      for (const NumberType out_type : types) {
        for (const Activation activation : activations) {
          for (const int addend : {0, 1, 2}) {  // none, after, before
            Numbers a(in_type, kCount, 1), b(addend_type, kCount, 2);
            std::vector<std::byte> out(kCount * 4);
            const float scale = out_type == NumberType::s8 ? 0.05f : 1.0f;
            compute_row(a.row(), addend != 0 ? b.row() : Row{}, {activation, addend == 2}, out.data(), out_type, scale,
                        kCount);
            std::vector<float> got(kCount);
            to_floats({out.data(), out_type, scale}, got.data(), kCount);
            for (size_t i = 0; i < kCount; ++i) {
              const double x = a.exact()[i], y = addend != 0 ? b.exact()[i] : 0;
              double want = addend == 2 ? activated(activation, x + y) : activated(activation, x) + y;
              if (out_type == NumberType::s8) want = std::clamp(want, -127.0 * scale, 127.0 * scale);
              ASSERT_NEAR(got[i], want, tolerance(out_type, want, scale))
                  << to_string(in_type) << " + " << to_string(addend_type) << " -> " << to_string(out_type)
                  << " activation " << static_cast<int>(activation) << " addend " << addend << " at " << i;
            }
          }
        }
      }
    }
  }
}

TEST(NumberOps, ResultsMayReplaceTheirInputs) {
  constexpr int64_t kCount = 1500;
  Numbers a(NumberType::f32, kCount, 3), b(NumberType::f32, kCount, 4);
  std::vector<float> apart(kCount);
  compute_row(a.row(), b.row(), {Activation::leaky, false}, apart.data(), NumberType::f32, 1, kCount);
  Numbers in_place = a, onto_addend = b;
  compute_row(in_place.row(), b.row(), {Activation::leaky, false}, in_place.bytes(), NumberType::f32, 1, kCount);
  compute_row(a.row(), onto_addend.row(), {Activation::leaky, false}, onto_addend.bytes(), NumberType::f32, 1, kCount);
  EXPECT_EQ(std::memcmp(apart.data(), in_place.bytes(), kCount * 4), 0);
  EXPECT_EQ(std::memcmp(apart.data(), onto_addend.bytes(), kCount * 4), 0);
}

TEST(NumberOps, BytesBecomeFractions) {
  std::vector<uint8_t> bytes(256);
  for (size_t i = 0; i < 256; ++i) bytes[i] = static_cast<uint8_t>(i);
  std::vector<float> floats(256);
  bytes_to_row(bytes.data(), floats.data(), NumberType::f32, 1, 256);
  for (size_t i = 0; i < 256; ++i) EXPECT_EQ(floats[i], static_cast<float>(static_cast<double>(i) / 255.0));
  std::vector<uint8_t> same(256);
  bytes_to_row(bytes.data(), same.data(), NumberType::u8, 1.0f / 255.0f, 256);
  EXPECT_EQ(same, bytes);
}

// In every place of a vector and in the rest that fills none: whichever of the two is a NaN, the maximum is one, and
// stays one.
TEST(NumberOps, TheMaximumKeepsNans) {
  constexpr int64_t kCount = 37;
  for (const NumberType type : {NumberType::f32, NumberType::bf16}) {
    for (int64_t place = 0; place < kCount; ++place) {
      const auto at = static_cast<size_t>(place);
      std::vector<float> numbers(kCount, 1.0f), io(kCount, 0.5f);
      numbers[at] = NAN;
      std::vector<std::byte> in(4 * kCount), ones(4 * kCount);
      from_floats(numbers.data(), in.data(), type, 1, kCount);
      numbers[at] = kInfinity;
      from_floats(numbers.data(), ones.data(), type, 1, kCount);
      maximum_row({in.data(), type}, io.data(), kCount);
      maximum_row({ones.data(), type}, io.data(), kCount);
      for (size_t i = 0; i < io.size(); ++i) EXPECT_TRUE(i == at ? std::isnan(io[i]) : io[i] == 1) << place << " " << i;
    }
  }
}

TEST(NumberOps, MaximumAndScale) {
  const float in[] = {1, -5, 3}, factors[] = {2, 2, -1};
  float io[] = {0, 0, 7}, out[3];
  maximum_row({in}, io, 3);
  EXPECT_EQ(io[0], 1);
  EXPECT_EQ(io[1], 0);
  EXPECT_EQ(io[2], 7);
  scale_row({in}, factors, Activation::leaky, out, NumberType::f32, 1, 3);
  EXPECT_EQ(out[0], 2);
  EXPECT_EQ(out[1], -1);
  EXPECT_FLOAT_EQ(out[2], -0.3f);
}

}  // namespace
}  // namespace yolov3
