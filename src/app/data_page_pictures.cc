#include "app/data_page_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/text.h"
#include "image/canvas.h"
#include "image/jpeg.h"
#include "image/letterbox.h"

namespace yolov3 {
namespace {

constexpr int kPicturePx = 360;
constexpr Color kDark{20, 20, 20}, kMark{255, 70, 60}, kOther{255, 225, 60};

std::string image_tag(const Image& image, const std::string& alt) {
  return fmt::format("<img alt=\"{}\" width={} height={} src=\"data:image/jpeg;base64,{}\">", markup_escaped(alt),
                     image.width, image.height, base64(encode_jpeg(image, 82)));
}

Image resized(const Image& image, double scale) {
  const int width = std::max(1, static_cast<int>(image.width * scale));
  const int height = std::max(1, static_cast<int>(image.height * scale));
  return apply_letterbox(image, make_stretch(image.width, image.height, width, height));
}

Image shrunk(const Image& image) {
  return resized(image, std::min(1.0, static_cast<double>(kPicturePx) / std::max(image.width, image.height)));
}

// The pixels from (x0, y0) on, which lie in the picture.
Image cut(const Image& image, int x0, int y0, int width, int height) {
  Image out(width, height);
  for (int y = 0; y < height; ++y) {
    std::copy_n(image.pixel(x0, y0 + y), 3 * static_cast<size_t>(width), out.pixel(0, y));
  }
  return out;
}

// A box that stands out from any picture; one too small to be seen gets a ring and a cross.
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

// The part of the picture around a box, twice its size and at least a quarter of the picture, with the box marked.
Image cut_out(const Image& image, const Box& box_image, const std::optional<Box>& other_image) {
  const auto whole_x = static_cast<float>(image.width), whole_y = static_cast<float>(image.height);
  const Box box = clip(box_image, whole_x, whole_y);
  const float side = std::max({2 * box.width(), 2 * box.height(), 0.25f * std::max(whole_x, whole_y)});
  const Box part = clip(box_from_center(box.center_x(), box.center_y(), side, side), whole_x, whole_y);
  const int x0 = std::clamp(static_cast<int>(part.x0), 0, image.width - 1);
  const int y0 = std::clamp(static_cast<int>(part.y0), 0, image.height - 1);
  const int width = std::clamp(static_cast<int>(part.x1) - x0, 1, image.width - x0);
  const int height = std::clamp(static_cast<int>(part.y1) - y0, 1, image.height - y0);
  const double scale = static_cast<double>(kPicturePx) / std::max(width, height);
  Image shown = resized(cut(image, x0, y0, width, height), scale);
  const auto in_cut = [&](const Box& b) {
    const auto s = static_cast<float>(scale), fx = static_cast<float>(x0), fy = static_cast<float>(y0);
    return Box{(b.x0 - fx) * s, (b.y0 - fy) * s, (b.x1 - fx) * s, (b.y1 - fy) * s};
  };
  if (other_image) mark(shown, in_cut(*other_image), kOther, true);
  mark(shown, in_cut(box_image), kMark, false);
  return shown;
}

// `show` makes a picture out of the loaded one.
template <class Show>
std::string try_picture(const Example& example, const std::string& alt, Show&& show) {
  try {
    return image_tag(show(load_example(example).image), alt);
  } catch (const Error&) {
    return "";
  }
}

}  // namespace

std::string defect_picture(const Defect& defect) {
  if (defect.picture.empty()) return "";
  Example example;
  example.image = defect.picture;
  return try_picture(example, defect.reason, [&](const Image& image) {
    return defect.box_image ? cut_out(image, *defect.box_image, defect.other_image) : shrunk(image);
  });
}

std::string object_picture(const Example& example, const Annotation& object) {
  return try_picture(example, "object", [&](const Image& image) { return cut_out(image, object.box, std::nullopt); });
}

std::string whole_picture(const Example& example, const std::string& alt) { return try_picture(example, alt, shrunk); }

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k) {
      three = three << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (size_t k = 0; k < 4; ++k) {
      out += i + k <= bytes.size() ? kLetters[three >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

}  // namespace yolov3
