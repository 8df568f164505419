#include "data/augment_cutout.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "image/letterbox.h"

namespace yolov3 {
namespace {

constexpr int kMostRectangles = 4;
constexpr double kLeastSide = 0.05, kMostSide = 0.30;

// [first, end) of one side.
std::pair<float, float> draw_side(int length, Rng& rng) {
  const int size = std::clamp(static_cast<int>(std::lround(rng.uniform(kLeastSide, kMostSide) * length)), 1, length);
  const auto first = static_cast<float>(rng.integer(0, length - size));
  return {first, first + static_cast<float>(size)};
}

void paint(Image& image, const Box& r) {
  const auto first = static_cast<int>(r.x0), count = static_cast<int>(r.x1) - first;
  for (int y = static_cast<int>(r.y0); y < static_cast<int>(r.y1); ++y) {
    std::fill_n(image.pixel(first, y), 3 * count, kPadGrey);
  }
}

// Ends the box where a rectangle hides all of it up to a side.
Box trimmed(Box box, const Box& r) {
  const bool all_rows = r.y0 <= box.y0 && r.y1 >= box.y1, all_columns = r.x0 <= box.x0 && r.x1 >= box.x1;
  if (all_rows && r.x0 <= box.x0) box.x0 = std::clamp(r.x1, box.x0, box.x1);
  if (all_rows && r.x1 >= box.x1) box.x1 = std::clamp(r.x0, box.x0, box.x1);
  if (all_columns && r.y0 <= box.y0) box.y0 = std::clamp(r.y1, box.y0, box.y1);
  if (all_columns && r.y1 >= box.y1) box.y1 = std::clamp(r.y0, box.y0, box.y1);
  return box;
}

// The area of the box that no rectangle covers: cells between all their edges, each covered or not.
double visible_area(const Box& box, const std::vector<Box>& rectangles) {
  std::vector<float> xs{box.x0, box.x1}, ys{box.y0, box.y1};
  for (const Box& r : rectangles) {
    for (const float x : {r.x0, r.x1}) xs.push_back(std::clamp(x, box.x0, box.x1));
    for (const float y : {r.y0, r.y1}) ys.push_back(std::clamp(y, box.y0, box.y1));
  }
  std::ranges::sort(xs);
  std::ranges::sort(ys);
  double area = 0;
  for (size_t i = 0; i + 1 < xs.size(); ++i) {
    for (size_t j = 0; j + 1 < ys.size(); ++j) {
      const Box cell{xs[i], ys[j], xs[i + 1], ys[j + 1]};
      const bool covered = std::ranges::any_of(rectangles, [&](const Box& r) {
        return r.x0 <= cell.x0 && r.x1 >= cell.x1 && r.y0 <= cell.y0 && r.y1 >= cell.y1;
      });
      if (!covered) area += static_cast<double>(cell.width()) * cell.height();
    }
  }
  return area;
}

}  // namespace

void cut_out(Sample& sample, const std::vector<Box>& rectangles, double min_visible) {
  for (const Box& rectangle : rectangles) paint(sample.image, rectangle);
  std::erase_if(sample.objects, [&](Annotation& object) {
    if (object.crowd) return false;
    const double whole = object.box.area(), visible = visible_area(object.box, rectangles);
    if (!(visible > 0) || visible < min_visible * whole) return true;
    Box seen = object.box;
    for (Box before{}; before != seen;) {  // one may end a box so that another then covers a whole side
      before = seen;
      for (const Box& rectangle : rectangles) seen = trimmed(seen, rectangle);
    }
    if (seen != object.box) object.area *= static_cast<float>(seen.area() / whole);
    object.box = seen;
    return false;
  });
}

void random_cutout(Sample& sample, double probability, double min_visible, Rng& rng) {
  if (!rng.chance(probability)) return;
  std::vector<Box> rectangles(static_cast<size_t>(rng.integer(1, kMostRectangles)));
  for (Box& r : rectangles) {
    std::tie(r.x0, r.x1) = draw_side(sample.image.width, rng);
    std::tie(r.y0, r.y1) = draw_side(sample.image.height, rng);
  }
  cut_out(sample, rectangles, min_visible);
}

}  // namespace yolov3
