#include "data/cut_out.h"

#include <algorithm>

namespace yolov3 {
namespace {

Letterbox scaled(int width, int height, double scale) {
  return make_stretch(width, height, std::max(1, static_cast<int>(width * scale)),
                      std::max(1, static_cast<int>(height * scale)));
}

}  // namespace

Box CutOut::cut_from_image(const Box& box_image) const {
  const auto fx = static_cast<float>(x0), fy = static_cast<float>(y0);
  return net_from_image(grown, {box_image.x0 - fx, box_image.y0 - fy, box_image.x1 - fx, box_image.y1 - fy});
}

CutOut cut_out(const Image& image, const Box& box_image, int longest_px) {
  const auto width = static_cast<float>(image.width), height = static_cast<float>(image.height);
  const Box box = clip(box_image, width, height);
  const float side = std::max({2 * box.width(), 2 * box.height(), 0.25f * std::max(width, height)});
  const Box part = clip(box_from_center(box.center_x(), box.center_y(), side, side), width, height);
  CutOut cut;
  cut.x0 = std::min(static_cast<int>(part.x0), image.width - 1);
  cut.y0 = std::min(static_cast<int>(part.y0), image.height - 1);
  Image copy(std::max(1, static_cast<int>(part.x1) - cut.x0), std::max(1, static_cast<int>(part.y1) - cut.y0));
  for (int y = 0; y < copy.height; ++y) {
    std::copy_n(image.pixel(cut.x0, cut.y0 + y), 3 * static_cast<size_t>(copy.width), copy.pixel(0, y));
  }
  cut.grown = scaled(copy.width, copy.height, static_cast<double>(longest_px) / std::max(copy.width, copy.height));
  cut.image = apply_letterbox(copy, cut.grown);
  return cut;
}

Image shrunk(const Image& image, int longest_px) {
  const double scale = std::min(1.0, static_cast<double>(longest_px) / std::max(image.width, image.height));
  return apply_letterbox(image, scaled(image.width, image.height, scale));
}

}  // namespace yolov3
