#include "data/augment_affine.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace yolov3 {
namespace {

struct Point {
  double x, y;
};
using Polygon = std::vector<Point>;

Point at(const Affine& map, double x, double y) {
  return {map.xx * x + map.xy * y + map.x0, map.yx * x + map.yy * y + map.y0};
}

// The part of a convex polygon where inside(point) >= 0, a linear function. Source: Sutherland and Hodgman 1974.
template <class Inside>
Polygon clipped(const Polygon& polygon, Inside inside) {
  Polygon kept;
  for (size_t i = 0; i < polygon.size(); ++i) {
    const Point &a = polygon[i], &b = polygon[(i + 1) % polygon.size()];
    const double from = inside(a), to = inside(b);
    if (from >= 0) kept.push_back(a);
    if ((from < 0) == (to < 0)) continue;
    const double share = from / (from - to);
    kept.push_back({a.x + share * (b.x - a.x), a.y + share * (b.y - a.y)});
  }
  return kept;
}

double area_of(const Polygon& polygon) {
  double twice = 0;
  for (size_t i = 0; i < polygon.size(); ++i) {
    const Point &a = polygon[i], &b = polygon[(i + 1) % polygon.size()];
    twice += a.x * b.y - b.x * a.y;
  }
  return std::abs(twice) / 2;
}

Box hull_of(const Polygon& polygon, double width, double height) {
  Point low = polygon.front(), high = low;
  for (const Point& p : polygon) {
    low = {std::min(low.x, p.x), std::min(low.y, p.y)};
    high = {std::max(high.x, p.x), std::max(high.y, p.y)};
  }
  const auto inside = [](double value, double most) { return static_cast<float>(std::clamp(value, 0.0, most)); };
  return {inside(low.x, width), inside(low.y, height), inside(high.x, width), inside(high.y, height)};
}

// Positions in the source are 32.32 fixed point, weights of the four pixels around it 8 bits an axis.
constexpr double kOne = 4294967296.0;
constexpr int kFraction = 32, kWeightBits = 8;

int64_t fixed(double value) { return static_cast<int64_t>(std::llround(value * kOne)); }

// The colour at (x, y), measured from the centre of pixel (0, 0). Edges are repeated.
void sample_pixel(const Image& image, int64_t x, int64_t y, uint8_t* out) {
  const auto column = static_cast<int>(x >> kFraction), row = static_cast<int>(y >> kFraction);
  const auto wx = static_cast<uint32_t>((x >> (kFraction - kWeightBits)) & 255);
  const auto wy = static_cast<uint32_t>((y >> (kFraction - kWeightBits)) & 255);
  const int x0 = std::max(column, 0), x1 = std::min(column + 1, image.width - 1);
  const int y0 = std::max(row, 0), y1 = std::min(row + 1, image.height - 1);
  const uint8_t *a = image.pixel(x0, y0), *b = image.pixel(x1, y0), *c = image.pixel(x0, y1), *d = image.pixel(x1, y1);
  for (int k = 0; k < 3; ++k) {
    const uint32_t upper = a[k] * (256 - wx) + b[k] * wx, lower = c[k] * (256 - wx) + d[k] * wx;
    out[k] = static_cast<uint8_t>((upper * (256 - wy) + lower * wy + (1u << 15)) >> 16);
  }
}

}  // namespace

Affine after(const Affine& s, const Affine& f) {
  return {s.xx * f.xx + s.xy * f.yx, s.xx * f.xy + s.xy * f.yy, s.xx * f.x0 + s.xy * f.y0 + s.x0,
          s.yx * f.xx + s.yy * f.yx, s.yx * f.xy + s.yy * f.yy, s.yx * f.x0 + s.yy * f.y0 + s.y0};
}

Affine inverse(const Affine& m) {
  const double determinant = m.xx * m.yy - m.xy * m.yx;
  check(std::isfinite(determinant) && std::abs(determinant) > 1e-12, "an affine map with determinant {} has no inverse",
        determinant);
  const double xx = m.yy / determinant, xy = -m.xy / determinant, yx = -m.yx / determinant, yy = m.xx / determinant;
  return {xx, xy, -(xx * m.x0 + xy * m.y0), yx, yy, -(yx * m.x0 + yy * m.y0)};
}

Affine affine_of(const Letterbox& letterbox) {
  return {letterbox.scale_x,
          0,
          static_cast<double>(letterbox.pad_x),
          0,
          letterbox.scale_y,
          static_cast<double>(letterbox.pad_y)};
}

bool has_affine(const AugmentOptions& options) {
  return options.degrees > 0 || options.scale > 0 || options.shear > 0 || options.shift > 0;
}

Affine random_affine(const AugmentOptions& options, double width, double height, Rng& rng) {
  const auto draw = [&](double reach) { return rng.uniform(-reach, reach); };
  constexpr double kRadians = std::numbers::pi / 180;
  const double angle = draw(options.degrees) * kRadians, gain = 1 + draw(options.scale);
  const double slant_x = std::tan(draw(options.shear) * kRadians), slant_y = std::tan(draw(options.shear) * kRadians);
  const double move_x = draw(options.shift) * width, move_y = draw(options.shift) * height;
  const Affine to_middle{1, 0, -width / 2, 0, 1, -height / 2};
  const Affine slant{1, slant_x, 0, slant_y, 1, 0};
  const double c = gain * std::cos(angle), s = gain * std::sin(angle);
  const Affine turn{c, -s, width / 2 + move_x, s, c, height / 2 + move_y};
  return after(turn, after(slant, to_middle));
}

Image warp(const Image& image, const Affine& frame_from_image, int width, int height) {
  check(!image.empty(), "augment: the picture is empty");
  const Affine back = inverse(frame_from_image);
  const int64_t half = fixed(0.5), step_x = fixed(back.xx), step_y = fixed(back.yx);
  const auto limit_x = static_cast<uint64_t>(fixed(image.width)), limit_y = static_cast<uint64_t>(fixed(image.height));
  Image out(width, height, kPadGrey);
  for (int y = 0; y < height; ++y) {
    const Point first = at(back, 0.5, y + 0.5);
    int64_t source_x = fixed(first.x), source_y = fixed(first.y);
    uint8_t* pixel = out.pixel(0, y);
    for (int x = 0; x < width; ++x, source_x += step_x, source_y += step_y, pixel += 3) {
      if (static_cast<uint64_t>(source_x) >= limit_x || static_cast<uint64_t>(source_y) >= limit_y) continue;
      sample_pixel(image, source_x - half, source_y - half, pixel);
    }
  }
  return out;
}

std::vector<Annotation> map_objects(const std::vector<Annotation>& objects, const Affine& frame_from_image, int width,
                                    int height, double min_visible) {
  std::vector<Annotation> mapped;
  for (Annotation object : objects) {
    const Box& b = object.box;
    const Affine& m = frame_from_image;
    const Polygon whole{at(m, b.x0, b.y0), at(m, b.x1, b.y0), at(m, b.x1, b.y1), at(m, b.x0, b.y1)};
    Polygon seen = clipped(whole, [](const Point& p) { return p.x; });
    seen = clipped(seen, [](const Point& p) { return p.y; });
    seen = clipped(seen, [&](const Point& p) { return width - p.x; });
    seen = clipped(seen, [&](const Point& p) { return height - p.y; });
    const double area = area_of(seen), whole_area = area_of(whole);
    if (!(area > 0) || (!object.crowd && area < min_visible * whole_area)) continue;
    const Box hull = hull_of(seen, width, height);
    if (!(hull.width() > 0 && hull.height() > 0)) continue;
    // The object's own share of its box is taken to stay what it was, less what is cut off.
    object.area *= static_cast<float>(area / b.area());
    object.box = hull;
    mapped.push_back(object);
  }
  return mapped;
}

}  // namespace yolov3
