// Painting a synthetic scene: ground, grain and ink, in integers wherever a value reaches a pixel.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "base/rng.h"
#include "data/synthetic.h"
#include "data/synthetic_layout.h"

namespace yolov3 {
namespace {

constexpr uint64_t kPaintStream = 0x53594e54485054ull;
constexpr int kMaxGrain = 5;  // of 255, in both directions

// Value noise: random values on a lattice, blended linearly. 0 to 255.
class Clouds {
 public:
  Clouds(int width, int height, int cell_px, Rng& rng)
      : cell_px_(cell_px),
        columns_(width / cell_px + 2),
        values_(static_cast<size_t>(columns_ * (height / cell_px + 2))) {
    for (uint8_t& value : values_) value = static_cast<uint8_t>(rng.integer(0, 255));
  }

  // Adds weight/256 of row y to `field`.
  void add_row(int y, int weight, std::vector<int>& field) const {
    const int row = y / cell_px_, fy = (y % cell_px_) * 256 / cell_px_;
    const uint8_t* above = values_.data() + static_cast<ptrdiff_t>(row) * columns_;
    const uint8_t* below = above + columns_;
    const int width = static_cast<int>(field.size()), step = 65536 / cell_px_;
    for (int column = 0; column * cell_px_ < width; ++column) {
      const int left = above[column] * (256 - fy) + below[column] * fy;
      const int right = above[column + 1] * (256 - fy) + below[column + 1] * fy;
      const int end = std::min(width, (column + 1) * cell_px_);
      for (int x = column * cell_px_; x < end; ++x) {
        const int fx = ((x - column * cell_px_) * step) >> 8;
        field[static_cast<size_t>(x)] += ((left * (256 - fx) + right * fx) >> 16) * weight >> 8;
      }
    }
  }

 private:
  int cell_px_, columns_;
  std::vector<uint8_t> values_;
};

// A pattern's phase in 1/2^32 of a period: it wraps by itself.
uint32_t phase_step(double periods) { return static_cast<uint32_t>(static_cast<int64_t>(periods * 4294967296.0)); }

int triangle_wave(uint32_t phase) {  // 0 to 255
  const auto part = static_cast<int>(phase >> 23);
  return part < 256 ? part : 511 - part;
}

// Adds weight/256 of the pattern's row y to `field`.
void add_pattern_row(const SyntheticGround& ground, int y, int weight, std::vector<int>& field) {
  const auto row = static_cast<uint32_t>(y);
  const uint32_t step_x = phase_step(ground.step_x), step_y = phase_step(ground.step_y);
  uint32_t along = step_y * row, across = step_x * row;
  for (int& cell : field) {
    const bool squares = ground.kind == GroundKind::squares;
    const int value = squares ? ((along ^ across) >> 31 ? 255 : 0) : triangle_wave(along);
    cell += value * weight >> 8;
    along += step_x;
    across -= step_y;
  }
}

void paint_ground(const SyntheticScene& scene, Image& image) {
  const SyntheticGround& ground = scene.ground;
  Rng rng(scene.ref.seed, kPaintStream, static_cast<uint64_t>(scene.ref.index));
  const Clouds coarse(scene.width, scene.height, ground.cell_px, rng);
  const Clouds fine(scene.width, scene.height, std::max(4, ground.cell_px / 5), rng);
  const bool patterned = ground.kind != GroundKind::clouds;
  std::vector<int> field(static_cast<size_t>(scene.width));
  std::array<std::array<int, 3>, 256> colours;  // by the field's value
  for (int t = 0; t < 256; ++t) {
    for (size_t c = 0; c < 3; ++c) {
      colours[static_cast<size_t>(t)][c] = ground.dark[c] + (ground.light[c] - ground.dark[c]) * t / 255;
    }
  }
  uint64_t grain = 0;
  int grains_left = 0;
  for (int y = 0; y < scene.height; ++y) {
    std::fill(field.begin(), field.end(), 0);
    coarse.add_row(y, patterned ? 80 : 176, field);
    fine.add_row(y, patterned ? 40 : 80, field);
    if (patterned) add_pattern_row(ground, y, 136, field);
    for (int x = 0; x < scene.width; ++x) {
      if (grains_left == 0) {
        grain = rng.next();
        grains_left = 16;
      }
      const int speck = static_cast<int>(grain & 15) * (2 * kMaxGrain + 1) / 16 - kMaxGrain;
      grain >>= 4;
      --grains_left;
      uint8_t* pixel = image.pixel(x, y);
      const std::array<int, 3>& colour = colours[static_cast<size_t>(field[static_cast<size_t>(x)])];
      for (size_t c = 0; c < 3; ++c) pixel[c] = static_cast<uint8_t>(std::clamp(colour[c] + speck, 0, 255));
    }
  }
}

void paint_digit(const SyntheticDigit& digit, Image& image) {
  const InkMask mask = stroke_ink(placed_strokes(digit), digit.radius_px);
  for (int row = std::max(0, -mask.y); row < std::min(mask.height, image.height - mask.y); ++row) {
    for (int column = std::max(0, -mask.x); column < std::min(mask.width, image.width - mask.x); ++column) {
      const int ink = mask.at(column, row);
      if (ink == 0) continue;
      uint8_t* pixel = image.pixel(mask.x + column, mask.y + row);
      for (size_t c = 0; c < 3; ++c) {
        pixel[c] = static_cast<uint8_t>((pixel[c] * (255 - ink) + digit.colour[c] * ink + 127) / 255);
      }
    }
  }
}

}  // namespace

Image paint(const SyntheticScene& scene) {
  Image image(scene.width, scene.height);
  paint_ground(scene, image);
  for (const SyntheticDigit& digit : scene.digits) paint_digit(digit, image);
  return image;
}

}  // namespace yolov3
