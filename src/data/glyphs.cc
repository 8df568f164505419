#include "data/glyphs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace yolov3 {
namespace {

constexpr int kCurvePieces = 8;
constexpr double kQuarter = 0.5522847498307936;  // control length of a quarter circle: 4/3 (sqrt(2) - 1)

// A pen that leaves straight pieces.
class Pen {
 public:
  Pen& move(double x, double y) {
    x_ = x, y_ = y;
    return *this;
  }
  Pen& line(double x, double y) {
    segments_.push_back({x_, y_, x, y});
    return move(x, y);
  }
  // A cubic Bezier curve.
  Pen& curve(double ax, double ay, double bx, double by, double x, double y) {
    const double sx = x_, sy = y_;
    for (int i = 1; i <= kCurvePieces; ++i) {
      const double t = static_cast<double>(i) / kCurvePieces, u = 1 - t;
      const double s0 = u * u * u, s1 = 3 * u * u * t, s2 = 3 * u * t * t, s3 = t * t * t;
      line(s0 * sx + s1 * ax + s2 * bx + s3 * x, s0 * sy + s1 * ay + s2 * by + s3 * y);
    }
    return *this;
  }
  Pen& ellipse(double x, double y, double rx, double ry) {
    const double kx = kQuarter * rx, ky = kQuarter * ry;
    move(x + rx, y);
    curve(x + rx, y + ky, x + kx, y + ry, x, y + ry);
    curve(x - kx, y + ry, x - rx, y + ky, x - rx, y);
    curve(x - rx, y - ky, x - kx, y - ry, x, y - ry);
    return curve(x + kx, y - ry, x + rx, y - ky, x + rx, y);
  }
  std::vector<Segment> segments() const { return segments_; }

 private:
  double x_ = 0, y_ = 0;
  std::vector<Segment> segments_;
};

std::array<std::vector<Segment>, 10> make_digits() {
  return {
      Pen().ellipse(0.30, 0.50, 0.27, 0.47).segments(),
      Pen().move(0.10, 0.22).line(0.32, 0.04).line(0.32, 0.96).move(0.12, 0.96).line(0.52, 0.96).segments(),
      Pen()
          .move(0.05, 0.27)
          .curve(0.05, -0.05, 0.56, -0.05, 0.55, 0.28)
          .curve(0.54, 0.50, 0.20, 0.70, 0.05, 0.96)
          .line(0.57, 0.96)
          .segments(),
      Pen()
          .move(0.06, 0.17)
          .curve(0.18, -0.05, 0.54, -0.01, 0.53, 0.26)
          .curve(0.53, 0.42, 0.40, 0.48, 0.24, 0.48)
          .curve(0.44, 0.48, 0.57, 0.57, 0.57, 0.73)
          .curve(0.57, 1.03, 0.14, 1.06, 0.03, 0.81)
          .segments(),
      Pen().move(0.43, 0.97).line(0.43, 0.04).line(0.03, 0.68).line(0.58, 0.68).segments(),
      Pen()
          .move(0.53, 0.04)
          .line(0.13, 0.04)
          .line(0.09, 0.46)
          .curve(0.20, 0.36, 0.57, 0.34, 0.57, 0.67)
          .curve(0.57, 1.03, 0.16, 1.06, 0.03, 0.83)
          .segments(),
      Pen().move(0.46, 0.03).curve(0.20, 0.12, 0.04, 0.40, 0.04, 0.70).ellipse(0.30, 0.70, 0.26, 0.26).segments(),
      Pen().move(0.04, 0.04).line(0.56, 0.04).line(0.22, 0.96).segments(),
      Pen().ellipse(0.30, 0.25, 0.22, 0.21).ellipse(0.30, 0.72, 0.27, 0.25).segments(),
      Pen().ellipse(0.30, 0.30, 0.26, 0.26).move(0.56, 0.30).curve(0.56, 0.60, 0.40, 0.88, 0.14, 0.97).segments(),
  };
}

// Squared distance of a point to a segment.
double distance2(const Segment& s, double px, double py) {
  const double dx = s.x1 - s.x0, dy = s.y1 - s.y0;
  const double length2 = dx * dx + dy * dy;
  double t = length2 > 0 ? ((px - s.x0) * dx + (py - s.y0) * dy) / length2 : 0;
  t = std::min(1.0, std::max(0.0, t));
  const double ex = px - s.x0 - t * dx, ey = py - s.y0 - t * dy;
  return ex * ex + ey * ey;
}

}  // namespace

const std::vector<Segment>& digit_strokes(int digit) {
  static const std::array<std::vector<Segment>, 10> digits = make_digits();
  return digits.at(static_cast<size_t>(digit));
}

Box stroke_box(const std::vector<Segment>& segments, double radius_px) {
  double x0 = segments.front().x0, x1 = x0, y0 = segments.front().y0, y1 = y0;
  for (const Segment& s : segments) {
    x0 = std::min({x0, s.x0, s.x1}), x1 = std::max({x1, s.x0, s.x1});
    y0 = std::min({y0, s.y0, s.y1}), y1 = std::max({y1, s.y0, s.y1});
  }
  return {static_cast<float>(x0 - radius_px), static_cast<float>(y0 - radius_px), static_cast<float>(x1 + radius_px),
          static_cast<float>(y1 + radius_px)};
}

InkMask stroke_ink(const std::vector<Segment>& segments, double radius_px) {
  const Box box = stroke_box(segments, radius_px + 1);
  InkMask mask;
  mask.x = static_cast<int>(std::floor(box.x0));
  mask.y = static_cast<int>(std::floor(box.y0));
  mask.width = static_cast<int>(std::ceil(box.x1)) - mask.x;
  mask.height = static_cast<int>(std::ceil(box.y1)) - mask.y;
  const double reach = radius_px + 0.5;
  std::vector<double> nearest(static_cast<size_t>(mask.width) * static_cast<size_t>(mask.height), reach * reach);
  for (const Segment& s : segments) {  // only the pixels that it can reach
    const int left = static_cast<int>(std::floor(std::min(s.x0, s.x1) - reach)) - mask.x;
    const int right = static_cast<int>(std::ceil(std::max(s.x0, s.x1) + reach)) - mask.x;
    const int top = static_cast<int>(std::floor(std::min(s.y0, s.y1) - reach)) - mask.y;
    const int bottom = static_cast<int>(std::ceil(std::max(s.y0, s.y1) + reach)) - mask.y;
    for (int row = std::max(0, top); row < std::min(mask.height, bottom); ++row) {
      double* line = nearest.data() + static_cast<ptrdiff_t>(row) * mask.width;
      for (int column = std::max(0, left); column < std::min(mask.width, right); ++column) {
        line[column] = std::min(line[column], distance2(s, mask.x + column + 0.5, mask.y + row + 0.5));
      }
    }
  }
  mask.ink.resize(nearest.size());
  for (size_t i = 0; i < nearest.size(); ++i) {
    const double cover = std::min(1.0, std::max(0.0, reach - std::sqrt(nearest[i])));
    mask.ink[i] = static_cast<uint8_t>(cover * 255 + 0.5);
  }
  return mask;
}

}  // namespace yolov3
