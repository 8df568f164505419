#include "data/augment_mosaic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "image/letterbox.h"

namespace yolov3 {
namespace {

constexpr double kSeamMargin = 0.2;

struct Span {
  int first, end;
};

// Along one axis: where the picture's pixel 0 lies on the canvas, so that it covers the quadrant with some part of it,
// or touches the seam when it is too small.
int draw_origin(const Span& quadrant, int picture, bool before_seam, Rng& rng) {
  const int room = quadrant.end - quadrant.first, spare = picture - room;
  const auto drawn = static_cast<int>(rng.integer(0, std::max(spare, 0)));
  if (spare >= 0) return quadrant.first - drawn;
  return before_seam ? quadrant.end - picture : quadrant.first;
}

}  // namespace

MosaicPlan plan_mosaic(int net_width, int net_height, bool wide, Rng& rng) {
  MosaicPlan plan{net_width, net_height, net_width, net_height, 0, 0};
  const auto draw_seam = [&](int side) {
    return static_cast<int>(std::lround(rng.uniform(kSeamMargin, 1 - kSeamMargin) * side));
  };
  plan.seam_x = draw_seam(net_width);
  plan.seam_y = draw_seam(net_height);
  if (!wide) return plan;
  plan.width = 2 * net_width;
  plan.height = 2 * net_height;
  plan.seam_x += net_width / 2;
  plan.seam_y += net_height / 2;
  return plan;
}

void lay_tile(Sample& canvas, const MosaicPlan& plan, int quadrant, const Sample& tile, double min_visible, Rng& rng) {
  check(canvas.image.width == plan.width && canvas.image.height == plan.height, "a mosaic's canvas of another size");
  const int width = tile.image.width, height = tile.image.height;
  const Letterbox fit = make_letterbox(width, height, plan.net_width, plan.net_height);
  const Letterbox resize = make_stretch(width, height, fit.resized_width, fit.resized_height);
  const Image picture = apply_letterbox(tile.image, resize);

  const bool left = quadrant % 2 == 0, top = quadrant / 2 == 0;
  const Span columns = left ? Span{0, plan.seam_x} : Span{plan.seam_x, plan.width};
  const Span rows = top ? Span{0, plan.seam_y} : Span{plan.seam_y, plan.height};
  const int origin_x = draw_origin(columns, picture.width, left, rng);
  const int origin_y = draw_origin(rows, picture.height, top, rng);
  const int x0 = std::max(columns.first, origin_x), x1 = std::min(columns.end, origin_x + picture.width);
  const int y0 = std::max(rows.first, origin_y), y1 = std::min(rows.end, origin_y + picture.height);
  if (x0 >= x1) return;
  for (int y = y0; y < y1; ++y) {
    std::memcpy(canvas.image.pixel(x0, y), picture.pixel(x0 - origin_x, y - origin_y),
                3 * static_cast<size_t>(x1 - x0));
  }

  for (Annotation object : tile.objects) {
    const Box box = net_from_image(resize, object.box);
    const Box whole{box.x0 + static_cast<float>(origin_x), box.y0 + static_cast<float>(origin_y),
                    box.x1 + static_cast<float>(origin_x), box.y1 + static_cast<float>(origin_y)};
    const auto inside = [](float value, int low, int high) {
      return std::clamp(value, static_cast<float>(low), static_cast<float>(high));
    };
    const Box seen{inside(whole.x0, x0, x1), inside(whole.y0, y0, y1), inside(whole.x1, x0, x1),
                   inside(whole.y1, y0, y1)};
    const double visible = seen.area();
    if (!(visible > 0) || (!object.crowd && visible < min_visible * whole.area())) continue;
    object.area *= static_cast<float>(visible / object.box.area());
    object.box = seen;
    canvas.objects.push_back(object);
  }
}

double random_mixup_share(Rng& rng) {
  std::array<double, 63> draws;
  for (double& draw : draws) draw = rng.uniform();
  std::ranges::nth_element(draws, draws.begin() + 31);
  return draws[31];
}

void mix_in(Sample& sample, const Sample& other, double share) {
  check(sample.image.width == other.image.width && sample.image.height == other.image.height,
        "mixup needs two pictures of one size");
  const auto kept = static_cast<uint32_t>(std::lround(share * 256)), rest = 256 - kept;
  for (size_t i = 0; i < sample.image.rgb.size(); ++i) {
    sample.image.rgb[i] = static_cast<uint8_t>((kept * sample.image.rgb[i] + rest * other.image.rgb[i] + 128) >> 8);
  }
  sample.objects.insert(sample.objects.end(), other.objects.begin(), other.objects.end());
}

}  // namespace yolov3
