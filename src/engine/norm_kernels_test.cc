#include "engine/norm_kernels.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "engine/norm_test_maps.h"

namespace yolov3 {
namespace {

// --- The same bits for all instruction sets and numbers of threads ------------------------------------------------

// Everything that the passes write.
struct Written {
  std::vector<std::vector<std::byte>> maps;
  std::vector<std::vector<double>> sums;
  bool operator==(const Written&) const = default;
};

Written run_all(Map z, Map gradient, Map more, Activation activation, const std::string& isa) {
  const LayerShape shape = z.view().shape;
  Map out = more, added = more, slope = more;
  const ChannelAffine affine = random_affine(shape.channels);
  const ChannelSlopes slopes{affine.shift, affine.mean};
  Written written{{}, std::vector(6, std::vector<double>(static_cast<size_t>(shape.channels)))};
  auto& sums = written.sums;
  const MapView second = more.view();
  sum_channels(z.view(), sums[0], sums[1], isa);
  normalize_map(z.view(), affine, activation, nullptr, out.view(), isa);
  normalize_map(z.view(), affine, activation, &second, added.view(), isa);
  sum_gradients(z.view(), affine, activation, gradient.view(), nullptr, sums[2], sums[3], isa);
  sum_gradients(z.view(), affine, activation, gradient.view(), &second, sums[4], sums[5], isa);
  gradient_of_normalize(z.view(), affine, activation, gradient.view(), slopes, slope.view(), isa);
  for (const Map* map : {&out, &added, &gradient, &slope}) written.maps.push_back(map->bytes());
  return written;
}

class Threads {  // puts back the number of threads
 public:
  ~Threads() { omp_set_num_threads(before_); }

 private:
  int before_ = omp_get_max_threads();
};

void expect_same_bits(const Place& place, const LayerShape& shape, Activation activation) {
  const Threads threads;
  omp_set_num_threads(1);
  const Map z(place, 2, shape, 1), gradient(place, 2, shape, 2), more(place, 2, shape, 3);
  const Written want = run_all(z, gradient, more, activation, "sse2");
  for (const int count : {1, 2, 3}) {
    omp_set_num_threads(count);
    for (const std::string& isa : norm_isas()) {
      ASSERT_EQ(run_all(z, gradient, more, activation, isa), want) << isa << ", " << count << " threads";
    }
  }
}

TEST(NormKernels, SameBitsForAllInstructionSetsAndThreads) {
  const LayerShape shapes[] = {{64, 33, 32}, {17, 37, 41}, {3, 51, 53}, {530, 5, 5}};
  for (const NumberType type : {NumberType::f32, NumberType::bf16}) {
    for (const Layout layout : {Layout::channels_last, Layout::blocked8, Layout::blocked16}) {
      for (const LayerShape& shape : shapes) {
        SCOPED_TRACE(to_string(type) + " " + to_string(layout) + ", channels " + std::to_string(shape.channels));
        expect_same_bits({type, layout}, shape, Activation::leaky);
        if (shape.channels == 17) expect_same_bits({type, layout}, shape, Activation::mish);
      }
    }
  }
}

TEST(NormKernels, UnknownInstructionSetIsRefused) {
  EXPECT_THROW(norm_kernels(NumberType::f32, "avx1024"), Error);
  EXPECT_EQ(norm_isas().back(), "sse2");
}

// --- Single numbers -------------------------------------------------------------------------------------------------

// activation and its derivative at x: one channel of one pixel.
struct Point {
  double value, slope;
};

Point at(Activation activation, double x) {
  const ChannelAffine nothing{{0}, {1}, {0}};
  Map z({}, 1, {1, 1, 1}), gradient({}, 1, {1, 1, 1}), out({}, 1, {1, 1, 1});
  z.put(0, 0, 0, x);
  gradient.put(0, 0, 0, 1);
  std::vector<double> sum(1), centered(1);
  normalize_map(z.view(), nothing, activation, nullptr, out.view());
  sum_gradients(z.view(), nothing, activation, gradient.view(), nullptr, sum, centered);
  return {out.at(0, 0, 0), sum[0]};
}

// By hand, as torch has it at 0.
TEST(NormKernels, SlopesAtZero) {
  for (const double zero : {0.0, -0.0}) {
    EXPECT_EQ(at(Activation::linear, zero).slope, 1);
    EXPECT_EQ(at(Activation::leaky, zero).slope, 0.1f);
    EXPECT_EQ(at(Activation::relu, zero).slope, 0);
    EXPECT_EQ(at(Activation::logistic, zero).slope, 0.25);
    EXPECT_EQ(at(Activation::swish, zero).slope, 0.5);
    EXPECT_FLOAT_EQ(static_cast<float>(at(Activation::mish, zero).slope), 0.6f);  // tanh(log 2)
  }
  EXPECT_EQ(at(Activation::leaky, std::numeric_limits<float>::min()).slope, 1);
}

// By hand: with e = exp(-x), the derivatives for large x are e (logistic), 1 + (x - 1) e (swish); for large -x, with
// e = exp(x): e, (x + 1) e, and (x + 1) e of mish too.
TEST(NormKernels, SlopesFarFromZero) {
  for (const double x : {30.0, 60.0, 80.0}) {
    const double e = std::exp(-x);
    EXPECT_NEAR(at(Activation::logistic, x).slope, e, 2e-7 * e);
    EXPECT_NEAR(at(Activation::logistic, -x).slope, e, 2e-7 * e);
    EXPECT_NEAR(at(Activation::swish, -x).slope, (1 - x) * e, 2e-7 * x * e);
    EXPECT_NEAR(at(Activation::mish, -x).slope, (1 - x) * e, 2e-7 * x * e);
    EXPECT_EQ(at(Activation::swish, x).slope, 1);
    EXPECT_EQ(at(Activation::mish, x).slope, 1);
  }
  for (const double x : {1e3, 1e30}) {
    for (const Activation activation : {Activation::mish, Activation::swish, Activation::logistic}) {
      EXPECT_EQ(at(activation, -x).slope, 0);
      EXPECT_EQ(at(activation, -x).value, 0);
      EXPECT_EQ(at(activation, x).slope, activation == Activation::logistic ? 0 : 1);
      EXPECT_EQ(static_cast<float>(at(activation, x).value),
                activation == Activation::logistic ? 1.0f : static_cast<float>(x));
    }
  }
}

TEST(NormKernels, NaNsStay) {
  for (const Activation activation : {Activation::linear, Activation::leaky, Activation::relu, Activation::mish}) {
    EXPECT_TRUE(std::isnan(at(activation, NAN).value));
  }
}

// --- Batch norm as a whole ------------------------------------------------------------------------------------------

constexpr double kBatchEpsilon = 1e-5;

double activated(Activation activation, double x) {
  switch (activation) {
    case Activation::leaky: return x > 0 ? x : double{0.1f} * x;
    case Activation::mish: return x * std::tanh(std::log1p(std::exp(x)));
    default: return x;
  }
}

// Sum over one channel's numbers of weight * activation(gamma * xhat + beta), statistics of these numbers.
double loss(const std::vector<double>& z, const std::vector<double>& weight, double gamma, double beta,
            Activation activation) {
  const auto count = static_cast<double>(z.size());
  double mean = 0, variance = 0, sum = 0;
  for (const double x : z) mean += x / count;
  for (const double x : z) variance += (x - mean) * (x - mean) / count;
  for (size_t i = 0; i < z.size(); ++i) {
    sum += weight[i] * activated(activation, (z[i] - mean) / std::sqrt(variance + kBatchEpsilon) * gamma + beta);
  }
  return sum;
}

struct Gradients {
  std::vector<double> z;
  double gamma, beta;
};

Gradients central_differences(std::vector<double> z, const std::vector<double>& weight, double gamma, double beta,
                              Activation activation) {
  constexpr double h = 1e-6;
  const auto slope = [&](double& x) {
    const double before = x;
    x = before + h;
    const double above = loss(z, weight, gamma, beta, activation);
    x = before - h;
    const double below = loss(z, weight, gamma, beta, activation);
    x = before;
    return (above - below) / (2 * h);
  };
  Gradients result;
  for (size_t i = 0; i < z.size(); ++i) result.z.push_back(slope(z[i]));
  result.gamma = slope(gamma);
  result.beta = slope(beta);
  return result;
}

// The passes in the order in which an engine calls them, of one channel.
Gradients by_passes(Map& z, Map& gradient, double gamma, double beta, Activation activation) {
  const auto count = static_cast<double>(z.view().images * z.view().pixels());
  std::vector<double> sum(1), square_sum(1), sum_dy(1), sum_dy_centered(1);
  sum_channels(z.view(), sum, square_sum);
  const double mean = sum[0] / count, variance = square_sum[0] / count - mean * mean;
  const double inverse = 1 / std::sqrt(variance + kBatchEpsilon), scale = gamma * inverse;
  const ChannelAffine affine{{static_cast<float>(mean)}, {static_cast<float>(scale)}, {static_cast<float>(beta)}};
  sum_gradients(z.view(), affine, activation, gradient.view(), nullptr, sum_dy, sum_dy_centered);
  // scale * (dy - mean(dy) - xhat * mean(dy * xhat)) with xhat = (z - mean) * inverse.
  const ChannelSlopes slopes{{static_cast<float>(-scale * inverse * inverse * sum_dy_centered[0] / count)},
                             {static_cast<float>(-scale * sum_dy[0] / count)}};
  Map dz({}, z.view().images, z.view().shape);
  gradient_of_normalize(z.view(), affine, activation, gradient.view(), slopes, dz.view());
  Gradients result{{}, sum_dy_centered[0] * inverse, sum_dy[0]};
  dz.each([&](int64_t n, int64_t c, int64_t p) { result.z.push_back(dz.at(n, c, p)); });
  return result;
}

TEST(NormKernels, GradientsOfBatchNormAreThoseOfCentralDifferences) {
  for (const Activation activation : {Activation::linear, Activation::leaky, Activation::mish}) {
    Map z({}, 3, {1, 4, 5}, 21), gradient({}, 3, {1, 4, 5}, 22);
    std::vector<double> numbers, weight;
    z.each([&](int64_t n, int64_t c, int64_t p) {
      numbers.push_back(z.at(n, c, p));
      weight.push_back(gradient.at(n, c, p));
    });
    const double gamma = 1.5, beta = 0.25;
    const Gradients want = central_differences(numbers, weight, gamma, beta, activation);
    const Gradients got = by_passes(z, gradient, gamma, beta, activation);
    // Terms are below 10: f32 errs by some 1e-6, sums of 60 by less than 60 * 60 * 2^-24 * 2; the differences by 1e-9.
    for (size_t i = 0; i < numbers.size(); ++i) ASSERT_NEAR(got.z[i], want.z[i], 1e-5) << i;
    EXPECT_NEAR(got.gamma, want.gamma, 5e-4);
    EXPECT_NEAR(got.beta, want.beta, 5e-4);
  }
}

}  // namespace
}  // namespace yolov3
