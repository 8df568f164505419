#include "image/letterbox.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/cpu.h"
#include "base/error.h"

namespace yolov3 {
namespace {

// Half to even, whatever the rounding mode of the moment.
int round_half_even(double value) {
  const double down = std::floor(value), rest = value - down;
  const bool up = rest > 0.5 || (rest == 0.5 && std::fmod(down, 2.0) != 0);
  return static_cast<int>(down) + (up ? 1 : 0);
}

void check_sides(int image_width, int image_height, int net_width, int net_height) {
  check(image_width > 0 && image_height > 0 && net_width > 0 && net_height > 0,
        "cannot fit a picture of {} x {} pixels into an input of {} x {}", image_width, image_height, net_width,
        net_height);
}

// Bilinear in fixed point, so that every CPU gives the same bytes; the weights of a tap sum to 1 << kBits. Where float
// rounds and bits are dropped is as in OpenCV's resize (INTER_LINEAR, 8 bit), by which the notes and the programs that
// deploy these networks shrink pictures: a grey level less moves scores by hundredths.
constexpr int kBits = 11;

using Tap = LetterboxScratch::Tap;

// Edges are repeated. Beyond them a row is blended with itself, which drops a bit that a column keeps.
void make_taps(int source, int target, bool rows, std::vector<Tap>& taps) {
  taps.resize(static_cast<size_t>(target));
  const double step = static_cast<double>(source) / target;
  const float last = static_cast<float>(source - 1);
  for (int i = 0; i < target; ++i) {
    float at = static_cast<float>((i + 0.5) * step - 0.5);  // half-pixel centres
    if (!rows) at = std::clamp(at, 0.0f, last);
    const float below = std::floor(at), part = at - below;
    const int first = static_cast<int>(below);
    taps[static_cast<size_t>(i)] = {std::clamp(first, 0, source - 1), std::clamp(first + 1, 0, source - 1),
                                    round_half_even((1 - part) * (1 << kBits)), round_half_even(part * (1 << kBits))};
  }
}

// Writes one value more than it means to: `out` has 3 * taps + 1 of them.
void blend_columns(const uint8_t* row, int width, const std::vector<Tap>& taps, int32_t* out) {
  for (const Tap& tap : taps) {
    const uint8_t *a = row + 3 * tap.first, *b = row + 3 * tap.second;
#ifdef __SSE2__
    if (tap.second + 1 < width) {  // four bytes can be read at both pixels
      int32_t a4, b4;
      std::memcpy(&a4, a, 4);
      std::memcpy(&b4, b, 4);
      const __m128i pairs =
          _mm_unpacklo_epi8(_mm_unpacklo_epi8(_mm_cvtsi32_si128(a4), _mm_cvtsi32_si128(b4)), _mm_setzero_si128());
      const __m128i weights = _mm_set1_epi32(tap.weight_second << 16 | tap.weight_first);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_madd_epi16(pairs, weights));
      out += 3;
      continue;
    }
#endif
    for (int c = 0; c < 3; ++c) *out++ = a[c] * tap.weight_first + b[c] * tap.weight_second;
  }
}

using BlendRows = void (*)(const int32_t*, const int32_t*, int, int, uint8_t*, size_t);

inline __attribute__((always_inline)) void blend_rows_body(const int32_t* a, const int32_t* b, int weight_a,
                                                           int weight_b, uint8_t* out, size_t count) {
  for (size_t i = 0; i < count; ++i)
    out[i] = static_cast<uint8_t>(((((a[i] >> 4) * weight_a) >> 16) + (((b[i] >> 4) * weight_b) >> 16) + 2) >> 2);
}

void blend_rows_plain(const int32_t* a, const int32_t* b, int weight_a, int weight_b, uint8_t* out, size_t count) {
  blend_rows_body(a, b, weight_a, weight_b, out, count);
}

// rgb -> planes at p, p + plane, p + 2 * plane.
inline __attribute__((always_inline)) void split_body(const uint8_t* rgb, float* p, size_t plane, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    p[i] = static_cast<float>(rgb[3 * i]) / 255.0f;
    p[plane + i] = static_cast<float>(rgb[3 * i + 1]) / 255.0f;
    p[2 * plane + i] = static_cast<float>(rgb[3 * i + 2]) / 255.0f;
  }
}

using Split = void (*)(const uint8_t*, float*, size_t, size_t);

void split_plain(const uint8_t* rgb, float* planes, size_t plane, size_t count) {
  split_body(rgb, planes, plane, count);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) void blend_rows_avx2(const int32_t* a, const int32_t* b, int weight_a, int weight_b,
                                                     uint8_t* out, size_t count) {
  blend_rows_body(a, b, weight_a, weight_b, out, count);
}
__attribute__((target("avx2"))) void split_avx2(const uint8_t* rgb, float* planes, size_t plane, size_t count) {
  split_body(rgb, planes, plane, count);
}
BlendRows choose_blend_rows() { return cpu_features().avx2 ? blend_rows_avx2 : blend_rows_plain; }
Split choose_split() { return cpu_features().avx2 ? split_avx2 : split_plain; }
#else
BlendRows choose_blend_rows() { return blend_rows_plain; }
Split choose_split() { return split_plain; }
#endif

// Into a window of `out` whose top left pixel is (x0, y0).
void resize_into(const Image& image, LetterboxScratch& scratch, Image& out, int x0, int y0, int width, int height) {
  make_taps(image.width, width, false, scratch.columns);
  make_taps(image.height, height, true, scratch.rows);
  const size_t count = 3 * static_cast<size_t>(width);
  scratch.lines.resize(2 * (count + 1));
  int32_t* lines[2] = {scratch.lines.data(), scratch.lines.data() + count + 1};
  int held[2] = {-1, -1};  // which source row each line holds
  const BlendRows blend_rows = choose_blend_rows();
  for (int y = 0; y < height; ++y) {
    const Tap& tap = scratch.rows[static_cast<size_t>(y)];
    if (held[1] == tap.first) {  // going down: the lower line becomes the upper one
      std::swap(lines[0], lines[1]);
      std::swap(held[0], held[1]);
    }
    const int wanted[2] = {tap.first, tap.second};
    for (int k = 0; k < 2; ++k) {
      if (held[k] == wanted[k]) continue;
      blend_columns(image.pixel(0, wanted[k]), image.width, scratch.columns, lines[k]);
      held[k] = wanted[k];
    }
    blend_rows(lines[0], lines[1], tap.weight_first, tap.weight_second, out.pixel(x0, y0 + y), count);
  }
}

// What the window leaves free: above and below it, left and right of it.
void fill_pads(const Letterbox& l, Image& out) {
  const auto grey = [](uint8_t* from, uint8_t* to) { std::fill(from, to, kPadGrey); };
  uint8_t *begin = out.rgb.data(), *end = begin + out.rgb.size();
  const int bottom = l.pad_y + l.resized_height, right = l.pad_x + l.resized_width;
  grey(begin, out.pixel(0, l.pad_y));
  for (int y = l.pad_y; y < bottom; ++y) {
    grey(out.pixel(0, y), out.pixel(l.pad_x, y));
    grey(out.pixel(right, y), out.pixel(0, y + 1));
  }
  grey(out.pixel(0, bottom), end);
}

}  // namespace

Letterbox make_letterbox(int image_width, int image_height, int net_width, int net_height) {
  check_sides(image_width, image_height, net_width, net_height);
  Letterbox box;
  box.net_width = net_width;
  box.net_height = net_height;
  box.scale_x = box.scale_y =
      std::min(static_cast<double>(net_width) / image_width, static_cast<double>(net_height) / image_height);
  box.resized_width = std::clamp(round_half_even(image_width * box.scale_x), 1, net_width);
  box.resized_height = std::clamp(round_half_even(image_height * box.scale_y), 1, net_height);
  box.pad_x = (net_width - box.resized_width) / 2;
  box.pad_y = (net_height - box.resized_height) / 2;
  return box;
}

Letterbox make_stretch(int image_width, int image_height, int net_width, int net_height) {
  check_sides(image_width, image_height, net_width, net_height);
  Letterbox box;
  box.net_width = box.resized_width = net_width;
  box.net_height = box.resized_height = net_height;
  box.scale_x = static_cast<double>(net_width) / image_width;
  box.scale_y = static_cast<double>(net_height) / image_height;
  return box;
}

Box net_from_image(const Letterbox& l, const Box& b) {
  return {static_cast<float>(b.x0 * l.scale_x + l.pad_x), static_cast<float>(b.y0 * l.scale_y + l.pad_y),
          static_cast<float>(b.x1 * l.scale_x + l.pad_x), static_cast<float>(b.y1 * l.scale_y + l.pad_y)};
}

Box image_from_net(const Letterbox& l, const Box& b) {
  return {static_cast<float>((b.x0 - l.pad_x) / l.scale_x), static_cast<float>((b.y0 - l.pad_y) / l.scale_y),
          static_cast<float>((b.x1 - l.pad_x) / l.scale_x), static_cast<float>((b.y1 - l.pad_y) / l.scale_y)};
}

Image apply_letterbox(const Image& image, const Letterbox& letterbox) {
  LetterboxScratch scratch;
  Image out;
  apply_letterbox_into(image, letterbox, scratch, out);
  return out;
}

void apply_letterbox_into(const Image& image, const Letterbox& letterbox, LetterboxScratch& scratch, Image& out) {
  check(!image.empty(), "cannot letterbox an empty picture");
  out.width = letterbox.net_width;
  out.height = letterbox.net_height;
  out.rgb.resize(static_cast<size_t>(out.width) * static_cast<size_t>(out.height) * 3);
  fill_pads(letterbox, out);
  if (image.width == letterbox.resized_width && image.height == letterbox.resized_height) {
    for (int y = 0; y < image.height; ++y)
      std::memcpy(out.pixel(letterbox.pad_x, letterbox.pad_y + y), image.pixel(0, y),
                  3 * static_cast<size_t>(image.width));
  } else {
    resize_into(image, scratch, out, letterbox.pad_x, letterbox.pad_y, letterbox.resized_width,
                letterbox.resized_height);
  }
}

void planes_from_image(const Image& image, float* planes) {
  const size_t count = static_cast<size_t>(image.width) * static_cast<size_t>(image.height);
  choose_split()(image.rgb.data(), planes, count, count);
}

}  // namespace yolov3
