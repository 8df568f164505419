#include "data/look.h"

#include <algorithm>
#include <cmath>

#include "base/checksum.h"
#include "base/files.h"
#include "data/parallel_each.h"

namespace yolov3 {
namespace {

constexpr uint64_t kMaxImageBytes = uint64_t{1} << 30;
constexpr int kDecodePx = 208;  // reduced JPEGs keep at least twice this

double grey_of(const uint8_t* p) { return 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]; }

// Means over the cells of a columns x rows grid; every pixel belongs to one cell, every cell has at least one pixel.
std::vector<double> grey_grid(const Image& image, int columns, int rows) {
  std::vector<double> grid;
  for (int r = 0; r < rows; ++r) {
    const int y0 = static_cast<int>(static_cast<int64_t>(r) * image.height / rows);
    const int y1 = std::max(y0 + 1, static_cast<int>(static_cast<int64_t>(r + 1) * image.height / rows));
    for (int c = 0; c < columns; ++c) {
      const int x0 = static_cast<int>(static_cast<int64_t>(c) * image.width / columns);
      const int x1 = std::max(x0 + 1, static_cast<int>(static_cast<int64_t>(c + 1) * image.width / columns));
      double sum = 0;
      for (int y = y0; y < y1; ++y) {
        for (int x = x0; x < x1; ++x) sum += grey_of(image.pixel(x, y));
      }
      grid.push_back(sum / (static_cast<double>(x1 - x0) * (y1 - y0)));
    }
  }
  return grid;
}

struct Colours {
  double grey = 0, red_green = 0, blue_green = 0, deviation = 0;  // of the grey
};

Colours colours_of(const Image& image, int x0, int y0, int x1, int y1) {
  double grey = 0, squares = 0, red_green = 0, blue_green = 0;
  for (int y = y0; y < y1; ++y) {
    for (int x = x0; x < x1; ++x) {
      const uint8_t* p = image.pixel(x, y);
      const double g = grey_of(p);
      grey += g, squares += g * g, red_green += p[0] - p[1], blue_green += p[2] - p[1];
    }
  }
  const double n = static_cast<double>(x1 - x0) * (y1 - y0);
  const double mean = grey / n;
  return {mean, red_green / n, blue_green / n, std::sqrt(std::max(0.0, squares / n - mean * mean))};
}

// The inner part of the box, three quarters of each side: corners of a box are rarely the object.
ObjectLook look_at_object(const Image& image, double scale_x, double scale_y, const Box& box, const Colours& whole) {
  const auto range = [](double center, double side, int limit) {
    const int first = std::clamp(static_cast<int>(std::floor(center - 0.375 * side)), 0, limit - 1);
    return std::pair(first, std::clamp(static_cast<int>(std::ceil(center + 0.375 * side)), first + 1, limit));
  };
  const auto [x0, x1] = range(box.center_x() * scale_x, box.width() * scale_x, image.width);
  const auto [y0, y1] = range(box.center_y() * scale_y, box.height() * scale_y, image.height);
  const Colours inside = colours_of(image, x0, y0, x1, y1);
  const double side = (image.width / scale_x + image.height / scale_y) / 2;
  return {{std::log(std::max(1e-6, box.width() / side)), std::log(std::max(1e-6, box.height() / side)),
           inside.grey - whole.grey, inside.red_green - whole.red_green, inside.blue_green - whole.blue_green,
           inside.deviation}};
}

}  // namespace

PictureLook look_at(const Image& image, int full_width, int full_height, const std::vector<Annotation>& objects) {
  PictureLook look;
  const std::vector<double> steps = grey_grid(image, 9, 8);
  for (int r = 0; r < 8; ++r) {
    for (int c = 0; c < 8; ++c) {
      const size_t i = static_cast<size_t>(9 * r + c);
      look.hash = look.hash << 1 | static_cast<uint64_t>(steps[i] > steps[i + 1]);
    }
  }
  const std::vector<double> thumb = grey_grid(image, PictureLook::kSide, PictureLook::kSide);
  for (size_t i = 0; i < thumb.size(); ++i) look.thumb[i] = static_cast<uint8_t>(std::lround(thumb[i]));
  const Colours whole = colours_of(image, 0, 0, image.width, image.height);
  const double scale_x = static_cast<double>(image.width) / full_width;
  const double scale_y = static_cast<double>(image.height) / full_height;
  for (const Annotation& object : objects) {
    look.objects.push_back(look_at_object(image, scale_x, scale_y, object.box, whole));
  }
  return look;
}

std::vector<PictureLook> look_at(const Dataset& dataset, int threads) {
  std::vector<PictureLook> looks(dataset.examples.size());
  parallel_each(static_cast<int64_t>(looks.size()), threads, "looking at pictures", [&](int64_t i) {
    const Example& example = dataset.examples[static_cast<size_t>(i)];
    PictureLook& look = looks[static_cast<size_t>(i)];
    if (example.synthetic) {
      const LoadedImage loaded = load_example(example);
      look = look_at(loaded.image, loaded.full_width, loaded.full_height, example.objects);
      return;
    }
    const std::string bytes = read_file(example.image, kMaxImageBytes);
    const LoadedImage loaded =
        decode_image(bytes, example.image.string(), {.net_width = kDecodePx, .net_height = kDecodePx});
    look = look_at(loaded.image, loaded.full_width, loaded.full_height, example.objects);
    look.bytes = bytes.size();
    look.crc = crc32c(bytes);
  });
  return looks;
}

}  // namespace yolov3
