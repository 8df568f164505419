#include "data/batch_pictures.h"

#include <algorithm>
#include <cmath>

#include "image/draw.h"
#include "image/save.h"

namespace yolov3 {
namespace {

constexpr int64_t kMaxPictures = 16;

Image image_from_planes(const float* planes, int width, int height) {
  Image image(width, height);
  const size_t plane = static_cast<size_t>(width) * static_cast<size_t>(height);
  for (size_t i = 0; i < plane; ++i) {
    for (size_t c = 0; c < 3; ++c) {
      image.rgb[3 * i + c] = static_cast<uint8_t>(std::lround(255.0f * std::clamp(planes[c * plane + i], 0.0f, 1.0f)));
    }
  }
  return image;
}

template <class Draw>
void save_grid(const std::filesystem::path& path, const Batch& batch, int cell_px, const Draw& draw) {
  const Tensor& images = batch.images;
  const int64_t count = std::min(images.dim(0), kMaxPictures);
  std::vector<Image> cells;
  for (int64_t n = 0; n < count; ++n) {
    cells.push_back(image_from_planes(images.data() + n * images.dim(1) * images.dim(2) * images.dim(3),
                                      static_cast<int>(images.dim(3)), static_cast<int>(images.dim(2))));
    draw(cells.back(), static_cast<size_t>(n));
  }
  const int columns = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(count))));
  save_image(path, make_grid(cells, columns, cell_px));
}

}  // namespace

void save_batch_picture(const std::filesystem::path& path, const Batch& batch, const std::vector<std::string>& names,
                        int cell_px) {
  save_grid(path, batch, cell_px,
            [&](Image& image, size_t n) { draw_annotations(image, batch.objects_net[n], names); });
}

void save_batch_picture(const std::filesystem::path& path, const Batch& batch,
                        const std::vector<std::vector<Detection>>& detections_net,
                        const std::vector<std::string>& names) {
  save_grid(path, batch, kBatchCellPx,
            [&](Image& image, size_t n) { draw_detections(image, detections_net[n], names); });
}

}  // namespace yolov3
