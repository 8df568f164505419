#include "data/cut_out.h"

#include <algorithm>

#include "image/canvas.h"
#include "image/letterbox.h"

namespace yolov3 {
namespace {

constexpr Color kDark{20, 20, 20}, kMark{255, 70, 60}, kOther{255, 225, 60};

Image resized(const Image& image, double scale) {
  const int width = std::max(1, static_cast<int>(image.width * scale));
  const int height = std::max(1, static_cast<int>(image.height * scale));
  return apply_letterbox(image, make_stretch(image.width, image.height, width, height));
}

// The pixels from (x0, y0) on, which lie in the picture.
Image cut(const Image& image, int x0, int y0, int width, int height) {
  Image out(width, height);
  for (int y = 0; y < height; ++y) {
    std::copy_n(image.pixel(x0, y0 + y), 3 * static_cast<size_t>(width), out.pixel(0, y));
  }
  return out;
}

void mark(Image& image, const Box& box, Color color, bool dashed) {
  constexpr float kSeen = 6, kRing = 14;
  Box drawn = box;
  if (box.width() < kSeen || box.height() < kSeen) {
    drawn = {box.x0 - kRing, box.y0 - kRing, box.x1 + kRing, box.y1 + kRing};
    draw_line(image, drawn.x0, box.center_y(), drawn.x1, box.center_y(), color, 1);
    draw_line(image, box.center_x(), drawn.y0, box.center_x(), drawn.y1, color, 1);
  }
  outline_box(image, drawn, kDark, 4);
  outline_box(image, drawn, color, 2, dashed);
}

}  // namespace

Image cut_out(const Image& image, const Box& box_image, const std::optional<Box>& other_image, int longest_px) {
  const auto whole_x = static_cast<float>(image.width), whole_y = static_cast<float>(image.height);
  const Box box = clip(box_image, whole_x, whole_y);
  const float side = std::max({2 * box.width(), 2 * box.height(), 0.25f * std::max(whole_x, whole_y)});
  const Box part = clip(box_from_center(box.center_x(), box.center_y(), side, side), whole_x, whole_y);
  const int x0 = std::clamp(static_cast<int>(part.x0), 0, image.width - 1);
  const int y0 = std::clamp(static_cast<int>(part.y0), 0, image.height - 1);
  const int width = std::clamp(static_cast<int>(part.x1) - x0, 1, image.width - x0);
  const int height = std::clamp(static_cast<int>(part.y1) - y0, 1, image.height - y0);
  const double scale = static_cast<double>(longest_px) / std::max(width, height);
  Image shown = resized(cut(image, x0, y0, width, height), scale);
  const auto in_cut = [&](const Box& b) {
    const auto s = static_cast<float>(scale), fx = static_cast<float>(x0), fy = static_cast<float>(y0);
    return Box{(b.x0 - fx) * s, (b.y0 - fy) * s, (b.x1 - fx) * s, (b.y1 - fy) * s};
  };
  if (other_image) mark(shown, in_cut(*other_image), kOther, true);
  mark(shown, in_cut(box_image), kMark, false);
  return shown;
}

Image shrunk(const Image& image, int longest_px) {
  return resized(image, std::min(1.0, static_cast<double>(longest_px) / std::max(image.width, image.height)));
}

}  // namespace yolov3
