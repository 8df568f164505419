#include "data/augment_pixels.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace yolov3 {
namespace {

constexpr double kLeastBlurPx = 0.5, kMostBlurPx = 2.0, kLeastNoise = 2.0, kMostNoise = 16.0;

uint8_t level(float value) { return static_cast<uint8_t>(std::clamp(value, 0.0f, 255.0f) + 0.5f); }

// times or divided by a factor from 1 to most, as Darknet's rand_scale; most = 1 gives 1.
double random_factor(double most, Rng& rng) {
  const double factor = rng.uniform(1, most);
  return rng.chance(0.5) ? factor : 1 / factor;
}

// 0 red, 2 green, 4 blue, up to 6; only of a pixel that is not grey.
float hue_of(float r, float g, float b, float value, float chroma) {
  if (value == r) return (g - b) / chroma + (g < b ? 6.0f : 0.0f);
  return value == g ? (b - r) / chroma + 2 : (r - g) / chroma + 4;
}

// Channel `offset` (5 red, 3 green, 1 blue) of a colour: value - chroma * clamp(min(k, 4 - k), 0, 1), k = offset + hue.
float channel_of(float offset, float hue, float value, float chroma) {
  float k = offset + hue;
  if (k >= 6) k -= 6;
  return value - chroma * std::clamp(std::min(k, 4 - k), 0.0f, 1.0f);
}

// Weights of a row of 2 * radius + 1 pixels, in 16 bits, summing to 1 << 16.
std::vector<int32_t> gaussian(double deviation) {
  const int radius = std::max(1, static_cast<int>(std::ceil(3 * deviation)));
  std::vector<double> weights;
  double sum = 0;
  for (int i = -radius; i <= radius; ++i) {
    weights.push_back(std::exp(-0.5 * i * i / (deviation * deviation)));
    sum += weights.back();
  }
  std::vector<int32_t> whole;
  int32_t given = 0;
  for (const double weight : weights) {
    whole.push_back(static_cast<int32_t>(std::lround(weight / sum * 65536)));
    given += whole.back();
  }
  whole[static_cast<size_t>(radius)] += 65536 - given;
  return whole;
}

// `out` = `taps` rows of bytes, weighted. The sums fit: weights are positive and sum to 1 << 16.
void blend(const std::vector<const uint8_t*>& rows, const std::vector<int32_t>& weights, std::vector<int32_t>& sums,
           uint8_t* out, size_t count) {
  std::fill(sums.begin(), sums.end(), 1 << 15);
  for (size_t t = 0; t < rows.size(); ++t) {
    const uint8_t* row = rows[t];
    const int32_t weight = weights[t];
    for (size_t i = 0; i < count; ++i) sums[i] += weight * row[i];
  }
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<uint8_t>(sums[i] >> 16);
}

}  // namespace

ColorChange random_color(const AugmentOptions& options, Rng& rng) {
  ColorChange change;
  change.hue = rng.uniform(-options.hsv_h, options.hsv_h);
  change.saturation = 1 + rng.uniform(-options.hsv_s, options.hsv_s);
  change.value = 1 + rng.uniform(-options.hsv_v, options.hsv_v);
  change.saturation *= random_factor(options.saturation, rng);
  change.value *= random_factor(options.exposure, rng);
  return change;
}

void change_color(Image& image, const ColorChange& change) {
  const auto turn = static_cast<float>(6 * (change.hue - std::floor(change.hue)));
  const auto saturation = static_cast<float>(change.saturation), brightness = static_cast<float>(change.value);
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    uint8_t* p = image.rgb.data() + i;
    const float r = p[0], g = p[1], b = p[2];
    const float value = std::max({r, g, b}), chroma = value - std::min({r, g, b});
    const float new_value = std::min(value * brightness, 255.0f);
    if (chroma == 0) {
      p[0] = p[1] = p[2] = level(new_value);
      continue;
    }
    const float new_chroma = std::min(chroma / value * saturation, 1.0f) * new_value;
    float hue = hue_of(r, g, b, value, chroma) + turn;
    if (hue >= 6) hue -= 6;
    p[0] = level(channel_of(5, hue, new_value, new_chroma));
    p[1] = level(channel_of(3, hue, new_value, new_chroma));
    p[2] = level(channel_of(1, hue, new_value, new_chroma));
  }
}

void remove_color(Image& image) {
  for (size_t i = 0; i < image.rgb.size(); i += 3) {
    uint8_t* p = image.rgb.data() + i;
    const uint32_t luma = (19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16;  // 0.299, 0.587, 0.114
    p[0] = p[1] = p[2] = static_cast<uint8_t>(luma);
  }
}

void gaussian_blur(Image& image, double deviation_px) {
  check(deviation_px > 0, "a blur of {} px", deviation_px);
  const std::vector<int32_t> weights = gaussian(deviation_px);
  const auto taps = static_cast<int>(weights.size());
  const int radius = taps / 2;
  const size_t count = 3 * static_cast<size_t>(image.width);
  std::vector<int32_t> sums(count);
  std::vector<const uint8_t*> rows(weights.size());
  // Across: each row with its edge pixels repeated; tap t is the same row t pixels on.
  std::vector<uint8_t> wide(count + 6 * static_cast<size_t>(radius));
  Image across(image.width, image.height);
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* row = image.pixel(0, y);
    for (int x = -radius; x < image.width + radius; ++x) {
      std::copy_n(row + 3 * std::clamp(x, 0, image.width - 1), 3, wide.data() + 3 * (x + radius));
    }
    for (int t = 0; t < taps; ++t) rows[static_cast<size_t>(t)] = wide.data() + 3 * t;
    blend(rows, weights, sums, across.pixel(0, y), count);
  }
  for (int y = 0; y < image.height; ++y) {
    for (int t = 0; t < taps; ++t) {
      rows[static_cast<size_t>(t)] = across.pixel(0, std::clamp(y + t - radius, 0, image.height - 1));
    }
    blend(rows, weights, sums, image.pixel(0, y), count);
  }
}

void add_noise(Image& image, double deviation, Rng& rng) {
  // Four bytes of a draw make a number of mean 510 and variance 4 (256^2 - 1) / 12.
  const auto scale = static_cast<float>(deviation / std::sqrt(4 * (256.0 * 256 - 1) / 12));
  for (size_t i = 0; i < image.rgb.size(); i += 2) {
    const uint64_t bits = rng.next();
    for (size_t k = 0; k < 2 && i + k < image.rgb.size(); ++k) {
      const uint64_t four = bits >> (32 * k);
      const auto sum = static_cast<int>((four & 255) + (four >> 8 & 255) + (four >> 16 & 255) + (four >> 24 & 255));
      image.rgb[i + k] = level(image.rgb[i + k] + scale * static_cast<float>(sum - 510));
    }
  }
}

void augment_pixels(Image& image, const AugmentOptions& options, Rng& rng) {
  const ColorChange color = random_color(options, rng);
  if (color != ColorChange{}) change_color(image, color);
  if (rng.chance(options.grey)) remove_color(image);
  const bool blurred = rng.chance(options.blur);
  const double blur_px = rng.uniform(kLeastBlurPx, kMostBlurPx);
  if (blurred) gaussian_blur(image, blur_px);
  const bool noisy = rng.chance(options.noise);
  const double deviation = rng.uniform(kLeastNoise, kMostNoise);
  if (noisy) add_noise(image, deviation, rng);
}

}  // namespace yolov3
