// The built-in data set: digits 0 to 9 of varied size, colour and slant, partly covering each other, on textured
// grounds. Classes "0" to "9".
//
// The same bytes for the same seed on every machine: only + - * / and sqrt of IEEE doubles (no sin, no pow, no library
// that draws), and Rng. Splits are disjoint: they draw from different ranges of SyntheticRef::index.
// Promises: sides of 320 to 480 px; digits at least 1/6 of the longer side high before the slant of up to 20 degrees,
// wholly in the picture; at most 40% of a digit's ink is covered by later ones; about 3% of the pictures are
// background.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "image/image.h"

namespace yolov3 {

using Colour = std::array<uint8_t, 3>;  // R, G, B

struct SyntheticDigit {
  int digit = 0;
  double center_x = 0, center_y = 0;  // px, of the upright glyph's middle
  double height_px = 0;               // of the glyph's unit square
  double stretch = 1;                 // width over the glyph's natural width
  double radius_px = 0;               // half the stroke's width
  double cosine = 1, sine = 0;        // of the slant, clockwise
  Colour colour{};
  Box box_image;  // of the whole ink, covered or not
};

enum class GroundKind { clouds, stripes, squares, slope };

struct SyntheticGround {
  GroundKind kind = GroundKind::clouds;
  Colour dark{}, light{};         // the texture lies between them
  double step_x = 0, step_y = 0;  // of the pattern a pixel
  int cell_px = 64;               // of the clouds
};

struct SyntheticScene {
  SyntheticRef ref;
  int width = 0, height = 0;
  SyntheticGround ground;
  std::vector<SyntheticDigit> digits;  // later ones cover earlier ones
};

// What the picture shows, without painting it.
SyntheticScene plan_synthetic(const SyntheticRef& ref);
Image paint(const SyntheticScene& scene);

// Both at once. `objects` may be null.
Image draw_synthetic(const SyntheticRef& ref, std::vector<Annotation>* objects);

// `count` pictures of "train", "val" or "test". Errors: another split.
Dataset synthetic_dataset(uint64_t seed, const std::string& split, int64_t count);

}  // namespace yolov3
