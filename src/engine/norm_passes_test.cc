#include "engine/norm_passes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/norm_kernels.h"
#include "engine/norm_test_maps.h"

namespace yolov3 {
namespace {

constexpr double kEpsilon = 0x1p-24;  // half a unit of f32's last place
struct Case {
  Layout layout;
  bool slice;
  int64_t images;
  LayerShape shape;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const int64_t channels : {3, 8, 16, 17, 40, 64}) {
    for (const auto& [images, height, width] : {std::tuple{1, 1, 1}, {3, 1, 1}, {3, 3, 5}, {2, 13, 13}, {1, 64, 33}}) {
      const LayerShape shape{channels, height, width};
      all.push_back({Layout::channels_last, false, images, shape});
      all.push_back({Layout::channels_last, true, images, shape});
      all.push_back({Layout::blocked8, false, images, shape});
      all.push_back({Layout::blocked16, false, images, shape});
    }
  }
  all.push_back({Layout::channels_last, false, 2, {1100, 2, 5}});  // more channels than a task takes
  all.push_back({Layout::blocked16, false, 1, {1100, 2, 5}});
  return all;
}

std::string to_string(const Case& c) {
  return to_string(c.layout) + (c.slice ? " slice" : "") + ", images " + std::to_string(c.images) + ", shape " +
         std::to_string(c.shape.channels) + "x" + std::to_string(c.shape.height) + "x" + std::to_string(c.shape.width);
}

std::vector<Activation> activations(const Case& c) {
  if (c.shape.height * c.shape.width > 1000) return {Activation::leaky};  // what is large is there for its pieces
  return {Activation::linear,   Activation::leaky, Activation::relu,
          Activation::logistic, Activation::mish,  Activation::swish};
}

// function(case, places of z and of two other maps): one type everywhere for every case, mixed types for the small ones.
template <class Function>
void for_all(const Function& function) {
  const NumberType types[] = {NumberType::f32, NumberType::bf16};
  for (const Case& c : cases()) {
    for (const NumberType a : types) {
      for (const NumberType b : types) {
        for (const NumberType d : types) {
          if ((a != b || b != d) && c.shape.size() > 17 * 15) continue;
          SCOPED_TRACE(to_string(c) + " " + to_string(a) + " " + to_string(b) + " " + to_string(d));
          function(c, Place{a, c.layout, c.slice}, Place{b, c.layout, c.slice}, Place{d, c.layout, c.slice});
          if (testing::Test::HasFatalFailure()) return;
        }
      }
    }
  }
}

// --- The truth, in double -------------------------------------------------------------------------------------------

struct Curve {
  double value, slope;
};

Curve curve(Activation activation, double x) {
  const double tenth = 0.1f;
  if (activation == Activation::linear) return {x, 1};
  if (activation == Activation::leaky) return {x > 0 ? x : tenth * x, x > 0 ? 1 : tenth};
  if (activation == Activation::relu) return {x > 0 ? x : 0, x > 0 ? 1.0 : 0.0};
  const double sigmoid = 1 / (1 + std::exp(-x));
  if (activation == Activation::logistic) return {sigmoid, sigmoid * (1 - sigmoid)};
  if (activation == Activation::swish) return {x * sigmoid, sigmoid + x * sigmoid * (1 - sigmoid)};
  const double tanh = std::tanh(std::log1p(std::exp(x)));  // mish
  return {x * tanh, tanh + x * (1 - tanh * tanh) * sigmoid};
}

// A number and how far f32 may be from it.
struct Bounded {
  double value = 0, error = 0;
};

struct Truth {
  const ChannelAffine& affine;
  Activation activation;

  double centered(double z, int64_t c) const { return z - affine.mean[static_cast<size_t>(c)]; }
  // Three operations: product and difference err by their own last places, the sum by that of the result.
  Bounded y(double z, int64_t c) const {
    const double product = centered(z, c) * affine.scale[static_cast<size_t>(c)];
    const double value = product + affine.shift[static_cast<size_t>(c)];
    return {value, kEpsilon * (2.01 * std::abs(product) + 1.01 * std::abs(value))};
  }
  // All curves' first derivatives are below 1.1, their second ones below 1; float results are rounded once.
  Bounded activated(double z, int64_t c) const {
    const Bounded x = y(z, c);
    const double value = curve(activation, x.value).value;
    return {value, 1.1 * x.error + 1.01 * kEpsilon * std::abs(value)};
  }
  // The derivative jumps at 0: x that may lie on either side may have either.
  Bounded dy(double z, double gradient, int64_t c) const {
    const Bounded x = y(z, c);
    const double slope = curve(activation, x.value).slope;
    const double jump = std::abs(x.value) <= x.error ? 1 : x.error;
    return {gradient * slope, std::abs(gradient) * ((activation == Activation::linear ? 0 : jump) + 2.1 * kEpsilon)};
  }
};

// --- Sums -----------------------------------------------------------------------------------------------------------

struct Sums {
  explicit Sums(int64_t channels) : first(static_cast<size_t>(channels), NAN), second(first) {}
  std::vector<double> first, second;
};

// A sum of k f32 numbers errs by at most (k - 1) epsilon times the sum of their magnitudes; a few roundings more stand
// for the terms themselves.
double sum_error(int64_t pixels) { return static_cast<double>(std::min<int64_t>(256, pixels) + 4) * kEpsilon; }

void expect_channel_sums(Map& z, const std::string& isa) {
  const int64_t channels = z.view().shape.channels;
  Sums got(channels);
  sum_channels(z.view(), got.first, got.second, isa);
  Sums want(channels);
  want.first = want.second = std::vector<double>(static_cast<size_t>(channels), 0.0);
  std::vector<double> low(want.first.size(), 1e30), high(want.first.size(), -1e30);
  z.each([&](int64_t n, int64_t channel, int64_t p) {
    const double x = z.at(n, channel, p);
    const auto c = static_cast<size_t>(channel);
    want.first[c] += x;
    want.second[c] += x * x;
    low[c] = std::min(low[c], x);
    high[c] = std::max(high[c], x);
  });
  const double count = static_cast<double>(z.view().images * z.view().pixels());
  for (size_t c = 0; c < low.size(); ++c) {
    const double spread = high[c] - low[c], far = std::max(std::abs(low[c]), std::abs(high[c]));
    const double error = sum_error(z.view().pixels()) * count * spread;
    ASSERT_NEAR(got.first[c], want.first[c], error + 1e-12 * count * far) << "channel " << c;
    ASSERT_NEAR(got.second[c], want.second[c], error * (spread + 2 * far) + 1e-12 * count * far * far) << c;
    // What the variance is made of: the error of the sum itself drops out.
    const auto variance = [&](const Sums& s) { return s.second[c] / count - std::pow(s.first[c] / count, 2); };
    ASSERT_NEAR(variance(got), variance(want), 3 * error / count * spread + 1e-13 * count * far * far) << c;
  }
}

TEST(NormPasses, SumsOfChannels) {
  for (const std::string& isa : norm_isas()) {
    for_all([&](const Case& c, const Place& place, const Place& b, const Place& d) {
      if (place.type != b.type || b.type != d.type) return;
      Map z(place, c.images, c.shape, 5);
      expect_channel_sums(z, isa);
    });
  }
}

// In f32 the squares, a million, would leave nothing of the variance.
TEST(NormPasses, ALargeMeanDoesNotEatTheVariance) {
  for (const Layout layout : {Layout::channels_last, Layout::blocked16}) {
    for (const NumberType type : {NumberType::f32, NumberType::bf16}) {
      Map z({type, layout}, 2, {32, 64, 33}, 5, 1000, type == NumberType::f32 ? 0.01 : 10);
      expect_channel_sums(z, "");
    }
  }
}

// --- Forwards -------------------------------------------------------------------------------------------------------

enum class Target { apart, on_z, on_other };

void expect_normalized(const Case& c, Map z, Map addend, const Place& out_place, Activation activation, bool add,
                       Target target) {
  const ChannelAffine affine = random_affine(c.shape.channels);
  const Map z_before = z, addend_before = addend;
  Map apart(out_place, c.images, c.shape);
  Map& out = target == Target::on_z ? z : target == Target::on_other ? addend : apart;
  const MapView other = addend.view();
  normalize_map(z.view(), affine, activation, add ? &other : nullptr, out.view());
  const Truth truth{affine, activation};
  out.each([&](int64_t n, int64_t channel, int64_t p) {
    Bounded want = truth.activated(z_before.at(n, channel, p), channel);
    if (add) want.value += addend_before.at(n, channel, p);
    want.error += 1.01 * kEpsilon * std::abs(want.value);
    ASSERT_NEAR(out.at(n, channel, p), want.value, want.error + out.rounding(std::abs(want.value) + want.error))
        << "activation " << static_cast<int>(activation) << " addend " << add << " target " << static_cast<int>(target)
        << " at " << n << "," << channel << "," << p;
  });
  out.expect_only_written();
}

TEST(NormPasses, Normalized) {
  for_all([](const Case& c, const Place& z_place, const Place& addend_place, const Place& out_place) {
    const Map z(z_place, c.images, c.shape, 6), addend(addend_place, c.images, c.shape, 7);
    for (const Activation activation : activations(c)) {
      expect_normalized(c, z, addend, out_place, activation, false, Target::apart);
      expect_normalized(c, z, addend, out_place, activation, true, Target::apart);
      if (out_place.type == z_place.type) expect_normalized(c, z, addend, out_place, activation, true, Target::on_z);
      if (out_place.type == addend_place.type) {
        expect_normalized(c, z, addend, out_place, activation, true, Target::on_other);
      }
    }
  });
}

// --- Backwards ------------------------------------------------------------------------------------------------------

void expect_gradient_sums(const Case& c, Map z, Map gradient, Map more, Activation activation, bool add) {
  const ChannelAffine affine = random_affine(c.shape.channels);
  const Map before = gradient;
  const MapView second = more.view();
  Sums got(c.shape.channels);
  sum_gradients(z.view(), affine, activation, gradient.view(), add ? &second : nullptr, got.first, got.second);
  if (!add) {
    ASSERT_EQ(gradient.bytes(), before.bytes());
  }
  const size_t channels = got.first.size();
  std::vector<double> want(channels), centered(channels), size(channels), centered_size(channels), error(channels),
      centered_error(channels);
  const Truth truth{affine, activation};
  z.each([&](int64_t n, int64_t channel, int64_t p) {
    const auto i = static_cast<size_t>(channel);
    const double g = gradient.at(n, channel, p);  // rounded, which is what is used
    if (add) {
      const double sum = before.at(n, channel, p) + more.at(n, channel, p);
      ASSERT_NEAR(g, sum, gradient.rounding(sum) + 1.01 * kEpsilon * std::abs(sum));
    }
    const double x = truth.centered(z.at(n, channel, p), channel);
    const Bounded dy = truth.dy(z.at(n, channel, p), g, channel);
    want[i] += dy.value;
    centered[i] += dy.value * x;
    size[i] += std::abs(dy.value) + dy.error;
    centered_size[i] += (std::abs(dy.value) + dy.error) * std::abs(x);
    error[i] += dy.error;
    centered_error[i] += dy.error * std::abs(x);
  });
  for (size_t i = 0; i < channels; ++i) {
    ASSERT_NEAR(got.first[i], want[i], error[i] + sum_error(z.view().pixels()) * size[i]) << "channel " << i;
    ASSERT_NEAR(got.second[i], centered[i], centered_error[i] + sum_error(z.view().pixels()) * centered_size[i]) << i;
  }
}

TEST(NormPasses, SumsOfGradients) {
  for_all([](const Case& c, const Place& z_place, const Place& gradient_place, const Place& more_place) {
    const Map z(z_place, c.images, c.shape, 8), gradient(gradient_place, c.images, c.shape, 9, -0.1, 1);
    const Map more(more_place, c.images, c.shape, 10);
    for (const Activation activation : activations(c)) {
      for (const bool add : {false, true}) expect_gradient_sums(c, z, gradient, more, activation, add);
    }
  });
}

void expect_gradient(const Case& c, Map z, Map gradient, const Place& out_place, Activation activation, Target target) {
  const ChannelAffine affine = random_affine(c.shape.channels), other = random_affine(2 * c.shape.channels);
  const auto channels = static_cast<long>(c.shape.channels);
  const ChannelSlopes slopes{{other.mean.begin() + channels, other.mean.end()},
                             {other.shift.begin() + channels, other.shift.end()}};
  const Map z_before = z, gradient_before = gradient;
  Map apart(out_place, c.images, c.shape);
  Map& out = target == Target::on_z ? z : target == Target::on_other ? gradient : apart;
  gradient_of_normalize(z.view(), affine, activation, gradient.view(), slopes, out.view());
  const Truth truth{affine, activation};
  out.each([&](int64_t n, int64_t channel, int64_t p) {
    const auto i = static_cast<size_t>(channel);
    const double x = z_before.at(n, channel, p), scale = affine.scale[i];
    const Bounded dy = truth.dy(x, gradient_before.at(n, channel, p), channel);
    const double first = dy.value * scale, second = truth.centered(x, channel) * slopes.slope[i];
    const double want = first + second + slopes.offset[i];
    const double error = dy.error * std::abs(scale) + kEpsilon * (2.1 * std::abs(first) + 3.1 * std::abs(second) +
                                                                  1.1 * std::abs(first + second) + std::abs(want));
    ASSERT_NEAR(out.at(n, channel, p), want, error + out.rounding(std::abs(want) + error))
        << "activation " << static_cast<int>(activation) << " at " << n << "," << channel << "," << p;
  });
  out.expect_only_written();
}

TEST(NormPasses, GradientsOfNormalize) {
  for_all([](const Case& c, const Place& z_place, const Place& gradient_place, const Place& out_place) {
    const Map z(z_place, c.images, c.shape, 11), gradient(gradient_place, c.images, c.shape, 12, -0.1, 1);
    for (const Activation activation : activations(c)) {
      expect_gradient(c, z, gradient, out_place, activation, Target::apart);
      if (out_place.type == z_place.type) expect_gradient(c, z, gradient, out_place, activation, Target::on_z);
      if (out_place.type == gradient_place.type) {
        expect_gradient(c, z, gradient, out_place, activation, Target::on_other);
      }
    }
  });
}

}  // namespace
}  // namespace yolov3
