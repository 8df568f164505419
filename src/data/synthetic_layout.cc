#include "data/synthetic_layout.h"

#include <cmath>
#include <cstddef>

#include "base/box.h"

namespace yolov3 {
namespace {

constexpr int kTries = 24;
constexpr int kSolidInk = 128;        // of 255: from here on a pixel counts as the digit's
constexpr double kMaxCovered = 0.40;  // of a digit's ink, by all later ones together
constexpr float kMaxBoxIou = 0.30f;   // so that non-maximum suppression can keep both

Box moved(const Box& box, int dx, int dy) {
  const auto x = static_cast<float>(dx), y = static_cast<float>(dy);
  return {box.x0 + x, box.y0 + y, box.x1 + x, box.y1 + y};
}

}  // namespace

std::vector<Segment> placed_strokes(const SyntheticDigit& digit) {
  const double height = digit.height_px, width = height * digit.stretch;
  const auto x = [&](double u, double v) { return digit.center_x + digit.cosine * u - digit.sine * v; };
  const auto y = [&](double u, double v) { return digit.center_y + digit.sine * u + digit.cosine * v; };
  std::vector<Segment> strokes;
  for (const Segment& s : digit_strokes(digit.digit)) {
    const double u0 = (s.x0 - 0.3) * width, v0 = (s.y0 - 0.5) * height;
    const double u1 = (s.x1 - 0.3) * width, v1 = (s.y1 - 0.5) * height;
    strokes.push_back({x(u0, v0), y(u0, v0), x(u1, v1), y(u1, v1)});
  }
  return strokes;
}

SyntheticLayout::SyntheticLayout(SyntheticScene& scene)
    : scene_(scene), owner_(static_cast<size_t>(scene.width) * static_cast<size_t>(scene.height), -1) {}

bool SyntheticLayout::place(SyntheticDigit digit, Rng& rng) {
  // Inked once around the origin, then moved by whole pixels.
  const std::vector<Segment> strokes = placed_strokes(digit);
  const InkMask mask = stroke_ink(strokes, digit.radius_px);
  const Box box = stroke_box(strokes, digit.radius_px);
  const int low_x = -mask.x, high_x = scene_.width - mask.width - mask.x;
  const int low_y = -mask.y, high_y = scene_.height - mask.height - mask.y;
  if (low_x > high_x || low_y > high_y) return false;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const int dx = static_cast<int>(rng.integer(low_x, high_x)), dy = static_cast<int>(rng.integer(low_y, high_y));
    digit.box_image = moved(box, dx, dy);
    bool apart = true;
    for (const SyntheticDigit& other : scene_.digits)
      apart = apart && iou(digit.box_image, other.box_image) <= kMaxBoxIou;
    if (!apart || covers_too_much(mask, dx, dy)) continue;
    put(digit, mask, dx, dy);
    return true;
  }
  return false;
}

bool SyntheticLayout::covers_too_much(const InkMask& mask, int dx, int dy) const {
  std::vector<int64_t> seen = seen_px_;
  for (int row = 0; row < mask.height; ++row) {
    const int8_t* owners = owner_.data() + static_cast<ptrdiff_t>(mask.y + dy + row) * scene_.width + mask.x + dx;
    for (int column = 0; column < mask.width; ++column) {
      if (owners[column] >= 0 && mask.at(column, row) >= kSolidInk) --seen[static_cast<size_t>(owners[column])];
    }
  }
  for (size_t i = 0; i < seen.size(); ++i) {
    if (static_cast<double>(seen[i]) < (1 - kMaxCovered) * static_cast<double>(ink_px_[i])) return true;
  }
  return false;
}

void SyntheticLayout::put(const SyntheticDigit& digit, const InkMask& mask, int dx, int dy) {
  const auto index = static_cast<int8_t>(scene_.digits.size());
  int64_t ink = 0;
  for (int row = 0; row < mask.height; ++row) {
    int8_t* owners = owner_.data() + static_cast<ptrdiff_t>(mask.y + dy + row) * scene_.width + mask.x + dx;
    for (int column = 0; column < mask.width; ++column) {
      if (mask.at(column, row) < kSolidInk) continue;
      if (owners[column] >= 0) --seen_px_[static_cast<size_t>(owners[column])];
      owners[column] = index;
      ++ink;
    }
  }
  ink_px_.push_back(ink);
  seen_px_.push_back(ink);
  scene_.digits.push_back(digit);
  scene_.digits.back().center_x += dx;
  scene_.digits.back().center_y += dy;
}

}  // namespace yolov3
