#include "data/augment.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/cpu.h"
#include "base/error.h"
#include "base/usage.h"
#include "image/letterbox.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace yolov3 {
namespace {

constexpr size_t kChannels = 3;

// D2: what lies outside the picture cannot be augmented with it. The step's own arithmetic then never meets a crop
// range with its ends swapped. A stated area shrinks with its box.
void clip_objects(Sample& sample) {
  check(!sample.image.empty(), "augment: the picture is empty");
  const auto width = static_cast<float>(sample.image.width), height = static_cast<float>(sample.image.height);
  std::erase_if(sample.objects, [&](Annotation& object) {
    const Box clipped = clip(object.box, width, height);
    if (!(clipped.width() > 0 && clipped.height() > 0)) return true;
    if (clipped != object.box) object.area *= clipped.area() / object.box.area();
    object.box = clipped;
    return false;
  });
}

// The part of the picture that must stay: the union of the (clipped) boxes, or the middle half of each side.
Box kept_region(const Sample& sample) {
  const auto width = static_cast<float>(sample.image.width), height = static_cast<float>(sample.image.height);
  if (sample.objects.empty()) return {0.25f * width, 0.25f * height, 0.75f * width, 0.75f * height};
  Box united = sample.objects.front().box;
  for (const Annotation& object : sample.objects) {
    united = {std::min(united.x0, object.box.x0), std::min(united.y0, object.box.y0),
              std::max(united.x1, object.box.x1), std::max(united.y1, object.box.y1)};
  }
  return united;
}

void shift_objects(Sample& sample, int dx, int dy) {
  const auto x = static_cast<float>(dx), y = static_cast<float>(dy);
  for (Annotation& object : sample.objects) {
    object.box = {object.box.x0 + x, object.box.y0 + y, object.box.x1 + x, object.box.y1 + y};
  }
}

void mirror_pixels(const uint8_t* from, uint8_t* to, int first, int width) {
  for (int x = first; x < width; ++x) {
    std::memcpy(to + kChannels * static_cast<size_t>(width - 1 - x), from + kChannels * static_cast<size_t>(x),
                kChannels);
  }
}

using MirrorRow = void (*)(const uint8_t* from, uint8_t* to, int width);

void mirror_row_plain(const uint8_t* from, uint8_t* to, int width) { mirror_pixels(from, to, 0, width); }

#ifdef __x86_64__
// Five pixels a step: 15 bytes turned round by one shuffle. The 16th byte falls on the pixel to the left in `to`, which
// the following step, or mirror_pixels for the last few, then writes.
__attribute__((target("ssse3"))) void mirror_row_ssse3(const uint8_t* from, uint8_t* to, int width) {
  const __m128i turn = _mm_setr_epi8(15, 12, 13, 14, 9, 10, 11, 6, 7, 8, 3, 4, 5, 0, 1, 2);
  int x = 0;
  for (; x + 6 <= width; x += 5) {
    const __m128i pixels = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + kChannels * static_cast<size_t>(x)));
    uint8_t* end = to + kChannels * static_cast<size_t>(width - x);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(end - 16), _mm_shuffle_epi8(pixels, turn));
  }
  mirror_pixels(from, to, x, width);
}
MirrorRow choose_mirror_row() { return cpu_features().avx2 ? mirror_row_ssse3 : mirror_row_plain; }
#else
MirrorRow choose_mirror_row() { return mirror_row_plain; }
#endif

void mirror_rows(Image& image) {
  const size_t row_bytes = kChannels * static_cast<size_t>(image.width);
  const MirrorRow mirror_row = choose_mirror_row();
  std::vector<uint8_t> row(row_bytes);
  for (int y = 0; y < image.height; ++y) {
    uint8_t* pixels = image.pixel(0, y);
    std::memcpy(row.data(), pixels, row_bytes);
    mirror_row(row.data(), pixels, image.width);
  }
}

// In place: no row moves to a place after a row that is still to be read.
void crop_pixels(Image& image, int x0, int y0, int width, int height) {
  const size_t row_bytes = kChannels * static_cast<size_t>(width);
  for (int y = 0; y < height; ++y) {
    std::memmove(image.rgb.data() + static_cast<size_t>(y) * row_bytes, image.pixel(x0, y0 + y), row_bytes);
  }
  image.rgb.resize(static_cast<size_t>(height) * row_bytes);
  image.width = width;
  image.height = height;
}

// In place: rows move away from the side that is uncovered, the farthest first.
void translate_pixels(Image& image, int dx, int dy) {
  const size_t kept_bytes = kChannels * static_cast<size_t>(image.width - std::abs(dx));
  const size_t bare_bytes = kChannels * static_cast<size_t>(std::abs(dx));
  const size_t row_bytes = kept_bytes + bare_bytes;
  for (int i = 0; i < image.height; ++i) {
    const int y = dy > 0 ? image.height - 1 - i : i;
    if (y - dy < 0 || y - dy >= image.height) {
      std::memset(image.pixel(0, y), kPadGrey, row_bytes);
      continue;
    }
    std::memmove(image.pixel(std::max(dx, 0), y), image.pixel(std::max(-dx, 0), y - dy), kept_bytes);
    if (dx != 0) std::memset(image.pixel(dx > 0 ? 0 : image.width + dx, y), kPadGrey, bare_bytes);
  }
}

// An integer, all equally likely, of those by which `low` and `high` pixels of margin let the boxes move.
int draw_shift(float low, float high, Rng& rng) {
  const double most = std::floor(high);
  return static_cast<int>(std::min(most, std::floor(rng.uniform(-std::floor(low), most + 1))));
}

void check_probability(const char* name, double value) {
  check_usage(value >= 0 && value <= 1, "--{} {}: the probability of an augmentation must be from 0 to 1", name, value);
}

void check_reach(const char* name, double value, double most) {
  check_usage(value >= 0 && value <= most, "--{} {}: expected 0 to {}", name, value, most);
}

}  // namespace

void check_augment_options(const AugmentOptions& o) {
  check_probability("flip", o.flip);
  check_probability("crop", o.crop);
  check_probability("translate", o.translate);
  check_probability("flipud", o.flipud);
  check_probability("mosaic", o.mosaic);
  check_probability("mixup", o.mixup);
  check_probability("cutout", o.cutout);
  check_probability("blur", o.blur);
  check_probability("noise", o.noise);
  check_probability("grey", o.grey);
  check_reach("degrees", o.degrees, 180);
  check_reach("scale", o.scale, 0.9);
  check_reach("shear", o.shear, 40);  // both axes at 45 would flatten the picture
  check_reach("shift", o.shift, 0.9);
  check_reach("hsv-h", o.hsv_h, 0.5);
  check_reach("hsv-s", o.hsv_s, 1);
  check_reach("hsv-v", o.hsv_v, 1);
  check_usage(o.saturation >= 1 && o.saturation <= 10, "--saturation {}: expected a factor from 1 to 10", o.saturation);
  check_usage(o.exposure >= 1 && o.exposure <= 10, "--exposure {}: expected a factor from 1 to 10", o.exposure);
  check_usage(o.hsv_s == 0 || o.saturation == 1,
              "--hsv-s {} and --saturation {} both change the saturation: give one of them", o.hsv_s, o.saturation);
  check_usage(o.hsv_v == 0 || o.exposure == 1,
              "--hsv-v {} and --exposure {} both change the brightness: give one of them", o.hsv_v, o.exposure);
  check_usage(o.min_visible >= 0 && o.min_visible <= 1, "--min-visible {}: expected a share from 0 to 1",
              o.min_visible);
}

AugmentOptions without_strong(AugmentOptions options) {
  options.mosaic = options.mixup = options.cutout = options.blur = options.noise = options.grey = 0;
  options.degrees = options.scale = options.shear = options.shift = 0;
  return options;
}

bool has_strong(const AugmentOptions& options) { return options != without_strong(options); }

AugmentOptions no_augmentation() {
  AugmentOptions off;
  off.flip = off.crop = off.translate = 0;
  return off;
}

void augment(Sample& sample, const AugmentOptions& options, Rng& rng) {
  random_horizontal_flip(sample, options.flip, rng);
  random_crop(sample, options.crop, rng);
  random_translate(sample, options.translate, rng);
}

void random_horizontal_flip(Sample& sample, double probability, Rng& rng) {
  clip_objects(sample);
  if (!rng.chance(probability)) return;
  mirror_rows(sample.image);
  const auto width = static_cast<float>(sample.image.width);
  for (Annotation& object : sample.objects) {
    object.box = {width - object.box.x1, object.box.y0, width - object.box.x0, object.box.y1};
  }
}

void random_vertical_flip(Sample& sample, double probability, Rng& rng) {
  clip_objects(sample);
  if (!rng.chance(probability)) return;
  Image& image = sample.image;
  const size_t row_bytes = kChannels * static_cast<size_t>(image.width);
  for (int y = 0; y < image.height / 2; ++y) {
    uint8_t *upper = image.pixel(0, y), *lower = image.pixel(0, image.height - 1 - y);
    std::swap_ranges(upper, upper + row_bytes, lower);
  }
  const auto height = static_cast<float>(image.height);
  for (Annotation& object : sample.objects) {
    object.box = {object.box.x0, height - object.box.y1, object.box.x1, height - object.box.y0};
  }
}

void random_crop(Sample& sample, double probability, Rng& rng) {
  clip_objects(sample);
  if (!rng.chance(probability)) return;
  const Box kept = kept_region(sample);
  const int width = sample.image.width, height = sample.image.height;
  // Rounded outwards, so that no box loses the fraction of a pixel and a box of any size leaves at least one pixel.
  const int x0 = static_cast<int>(std::floor(kept.x0 - rng.uniform(0, kept.x0)));
  const int y0 = static_cast<int>(std::floor(kept.y0 - rng.uniform(0, kept.y0)));
  const int x1 = std::min(width, static_cast<int>(std::ceil(kept.x1 + rng.uniform(0, width - kept.x1))));
  const int y1 = std::min(height, static_cast<int>(std::ceil(kept.y1 + rng.uniform(0, height - kept.y1))));
  crop_pixels(sample.image, x0, y0, x1 - x0, y1 - y0);
  shift_objects(sample, -x0, -y0);
}

void random_translate(Sample& sample, double probability, Rng& rng) {
  clip_objects(sample);
  if (!rng.chance(probability)) return;
  const Box kept = kept_region(sample);
  const int dx = draw_shift(kept.x0, static_cast<float>(sample.image.width) - kept.x1, rng);
  const int dy = draw_shift(kept.y0, static_cast<float>(sample.image.height) - kept.y1, rng);
  translate_pixels(sample.image, dx, dy);
  shift_objects(sample, dx, dy);
}

}  // namespace yolov3
