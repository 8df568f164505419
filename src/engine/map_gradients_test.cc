#include "engine/map_gradients.h"

#include "engine/gradient_test_maps.h"

namespace yolov3 {
namespace {

TEST_F(MapGradients, OfAShortcut) {
  for_all([](const GradientCase& k) {
    const PlacedMap gradient = k.map(k.gradient, 5, 7, 1), to = k.map(k.to, 5, 7, 2);
    GivenSums sums(to.planes());
    for_elements(gradient.planes(), [&](auto n, auto c, auto y, auto x, double g) { sums.add(n, c, y, x, g); });
    expect_given(to, k.into, sums, 1, [&] { add_gradient(gradient.view(), to.view(), k.into); });
  });
}

TEST_F(MapGradients, OfAShortcutOfOtherChannels) {
  for_all([](const GradientCase& k) {
    for (const int64_t channels : {5, 16, 40}) {
      const PlacedMap gradient(k.gradient, k.images, {channels, 3, 5}, k.sliced, 1), to = k.map(k.to, 3, 5, 2);
      GivenSums sums(to.planes());
      for_elements(gradient.planes(), [&](auto n, auto c, auto y, auto x, double g) {
        if (c < k.channels) sums.add(n, c, y, x, g);
      });
      expect_given(to, k.into, sums, 1, [&] { add_gradient(gradient.view(), to.view(), k.into); });
      if (testing::Test::HasFatalFailure()) return;
    }
  });
}

// Whole parts and groups, at block borders and off them.
TEST_F(MapGradients, OfARoute) {
  for_all([](const GradientCase& k) {
    for (const auto& [first, to_first] : {std::pair{0, 0}, {16, 0}, {5, 3}, {16, 8}, {8, 16}, {1, 0}}) {
      const PlacedMap joined(k.gradient, k.images, {first + k.channels + 9, 3, 5}, k.sliced, 1);
      for (const int64_t more : {0, 13}) {
        const PlacedMap to(k.to, k.images, {to_first + k.channels + more, 3, 5}, k.sliced, 2);
        GivenSums sums(to.planes());
        for_elements(joined.planes(), [&](auto n, auto c, auto y, auto x, double g) {
          if (c >= first && c < first + k.channels) sums.add(n, c - first + to_first, y, x, g);
        });
        expect_given(to, k.into, sums, 1, [&, begin = first, to_begin = to_first] {
          add_channels_gradient(joined.view(), begin, k.channels, to.view(), to_begin, k.into);
        });
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  });
}

TEST_F(MapGradients, OfUpsampling) {
  for_all([](const GradientCase& k) {
    for (const int stride : {2, 3}) {
      const PlacedMap gradient = k.map(k.gradient, 3 * stride, 5 * stride, 1), to = k.map(k.to, 3, 5, 2);
      GivenSums sums(to.planes());
      for_elements(gradient.planes(),
                   [&](auto n, auto c, auto y, auto x, double g) { sums.add(n, c, y / stride, x / stride, g); });
      expect_given(to, k.into, sums, stride * stride,
                   [&] { upsample_gradient(gradient.view(), stride, to.view(), k.into); });
    }
  });
}

// Rows longer than a line, channels that do not fit into one.
TEST_F(MapGradients, OfUpsamplingWideAndDeepMaps) {
  for (const MapFormat& format : gradient_formats()) {
    for (const LayerShape& shape : {LayerShape{16, 2, 131}, LayerShape{256, 3, 13}, LayerShape{1040, 2, 3}}) {
      const PlacedMap gradient(format, 2, {shape.channels, 2 * shape.height, 2 * shape.width}, false, 1);
      const PlacedMap to(format, 2, shape, true, 2);
      GivenSums sums(to.planes());
      for_elements(gradient.planes(),
                   [&](auto n, auto c, auto y, auto x, double g) { sums.add(n, c, y / 2, x / 2, g); });
      expect_given(to, Into::sum, sums, 4, [&] { upsample_gradient(gradient.view(), 2, to.view(), Into::sum); });
    }
  }
}

TEST_F(MapGradients, OfTheAverage) {
  for_all([](const GradientCase& k) {
    const PlacedMap gradient = k.map(k.gradient, 1, 1, 1), to = k.map(k.to, 5, 7, 2);
    const Tensor given = gradient.planes();
    GivenSums sums(to.planes());
    for_elements(to.planes(),
                 [&](auto n, auto c, auto y, auto x, double) { sums.add(n, c, y, x, given.at(n, c, 0, 0) / 35.0); });
    expect_given(to, k.into, sums, 2, [&] { average_gradient(gradient.view(), to.view(), k.into); });
  });
}

TEST_F(MapGradients, OfScaledChannels) {
  for_all([](const GradientCase& k) {
    const PlacedMap factors = k.map(k.gradient, 1, 1, 1), gradient = k.map(k.gradient, 5, 7, 2);
    const PlacedMap in = k.map(k.to, 5, 7, 3), in_to = k.map(k.to, 5, 7, 4), factors_to = k.map(k.to, 1, 1, 5);
    const Tensor scales = factors.planes(), values = in.planes();
    GivenSums of_in(in_to.planes()), of_factors(factors_to.planes());
    for_elements(gradient.planes(), [&](auto n, auto c, auto y, auto x, double g) {
      of_in.add(n, c, y, x, g * scales.at(n, c, 0, 0));
      of_factors.add(n, c, 0, 0, g * values.at(n, c, y, x));
    });
    expect_given(in_to, k.into, of_in, 2,
                 [&] { scale_gradient(factors.view(), gradient.view(), in_to.view(), k.into); });
    // Summed in double: only the sum is rounded.
    expect_given(factors_to, k.into, of_factors, 2,
                 [&] { scale_factors_gradient(in.view(), gradient.view(), factors_to.view(), k.into); });
  });
}

// The rule at each number is gradient_ops_test's; here that the right numbers meet.
TEST_F(MapGradients, OfActivations) {
  for_all([](const GradientCase& k) {
    const PlacedMap before = k.map(k.to, 5, 7, 1), gradient = k.map(k.gradient, 5, 7, 2), to = k.map(k.to, 5, 7, 3);
    const Tensor x = before.planes(), given = gradient.planes();
    GivenSums leaky(to.planes()), swish(to.planes());
    for_elements(x, [&](auto n, auto c, auto row, auto column, double value) {
      const double g = given.at(n, c, row, column), s = 1 / (1 + std::exp(-value));
      leaky.add(n, c, row, column, g * (value > 0 ? 1 : 0.1));
      swish.add(n, c, row, column, g * (s + value * s * (1 - s)));
    });
    expect_given(to, Into::fresh, leaky, 2,
                 [&] { activation_gradient(before.view(), Activation::leaky, gradient.view(), to.view()); });
    expect_given(before, Into::fresh, swish, 2,
                 [&] { activation_gradient(before.view(), Activation::swish, gradient.view(), before.view()); });
  });
}

TEST_F(MapGradients, OfAnActivationInPlace) {
  for (const MapFormat& format : gradient_formats()) {
    const PlacedMap before(format, 2, {17, 5, 7}, true, 1), gradient(format, 2, {17, 5, 7}, true, 2);
    const Tensor x = before.planes();
    GivenSums sums(x);
    for_elements(gradient.planes(), [&](auto n, auto c, auto row, auto column, double g) {
      sums.add(n, c, row, column, x.at(n, c, row, column) > 0 ? g : 0);
    });
    expect_given(gradient, Into::fresh, sums, 2,
                 [&] { activation_gradient(before.view(), Activation::relu, gradient.view(), gradient.view()); });
  }
}

// The n-th output of splitmix64(seed) in planes' order decides, whatever the format.
TEST_F(MapGradients, DropoutForwardAndBackward) {
  for_all([](const GradientCase& k) {
    const PlacedMap in = k.map(k.gradient, 5, 7, 1), to = k.map(k.to, 5, 7, 2);
    GivenSums sums(to.planes());
    uint64_t state = 77;
    for_elements(in.planes(), [&](auto n, auto c, auto y, auto x, double value) {
      uint64_t z = (state += 0x9e3779b97f4a7c15);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      z ^= z >> 31;
      sums.add(n, c, y, x, std::ldexp(static_cast<double>(z >> 11), -53) < 0.3 ? 0 : value / (1 - 0.3));
    });
    expect_given(to, k.into, sums, 2, [&] { dropout_map(in.view(), 0.3, 77, to.view(), k.into); });
    expect_given(in, Into::fresh, sums, 2, [&] { dropout_map(in.view(), 0.3, 77, in.view()); });  // in place
  });
}

using Pass = std::function<void(const MapFormat& format, const MapView& to)>;

// Every pass that gives a gradient to a map of kShape, from maps of the same format.
constexpr LayerShape kShape{33, 19, 18};
std::vector<Pass> passes() {
  const auto from = [](const MapFormat& format, const LayerShape& shape, uint64_t seed) {
    return PlacedMap(format, 2, shape, false, seed);
  };
  return {
      [=](auto& f, auto& to) { add_gradient(from(f, kShape, 1).view(), to, Into::sum); },
      [=](auto& f, auto& to) { add_channels_gradient(from(f, kShape, 1).view(), 3, 30, to, 1, Into::fresh); },
      [=](auto& f, auto& to) {
        upsample_gradient(from(f, {33, 38, 36}, 1).view(), 2, to, Into::sum);
      },
      [=](auto& f, auto& to) {
        max_pool_gradient(from(f, kShape, 2).view(), {3, 1, 2}, from(f, kShape, 1).view(), to, Into::sum);
      },
      [=](auto& f, auto& to) {
        average_gradient(from(f, {33, 1, 1}, 1).view(), to, Into::sum);
      },
      [=](auto& f, auto& to) {
        scale_gradient(from(f, {33, 1, 1}, 2).view(), from(f, kShape, 1).view(), to, Into::sum);
      },
      [=](auto& f, auto& to) {
        PlacedMap sums(f, 2, {33, 1, 1}, false, 3);
        scale_factors_gradient(from(f, kShape, 2).view(), from(f, kShape, 1).view(), sums.view(), Into::fresh);
        average_gradient(sums.view(), to, Into::fresh);
      },
      [=](auto& f, auto& to) {
        activation_gradient(from(f, kShape, 2).view(), Activation::mish, from(f, kShape, 1).view(), to);
      },
      [=](auto& f, auto& to) { dropout_map(from(f, kShape, 1).view(), 0.5, 5, to, Into::sum); },
  };
}

TEST_F(MapGradients, SameBitsForAnyNumberOfThreads) {
  for (const MapFormat& format : gradient_formats()) {
    const std::vector<Pass> all = passes();
    for (size_t i = 0; i < all.size(); ++i) {
      std::vector<Tensor> results;
      for (const int threads : {1, 2}) {
        omp_set_num_threads(threads);
        const PlacedMap to(format, 2, kShape, true, 9);
        all[i](format, to.view());
        results.push_back(to.planes());
      }
      EXPECT_EQ(results[0], results[1]) << "pass " << i << ", " << to_string(format.layout);
    }
  }
}

}  // namespace
}  // namespace yolov3
