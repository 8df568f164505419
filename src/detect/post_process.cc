#include "detect/post_process.h"

#include <utility>

namespace yolov3 {
namespace {

void to_image(std::vector<Detection>& candidates, const Letterbox& letterbox) {
  for (Detection& candidate : candidates) candidate.box = image_from_net(letterbox, candidate.box);
}

// Those that are empty then are left out.
void clip_to_image(std::vector<Detection>& boxes, int image_width, int image_height) {
  size_t used = 0;
  for (const Detection& box_image : boxes) {
    Detection found = box_image;
    found.box = clip(box_image.box, static_cast<float>(image_width), static_cast<float>(image_height));
    if (found.box.area() > 0) boxes[used++] = found;  // false for not-a-number too
  }
  boxes.resize(used);
}

}  // namespace

PostProcessor::PostProcessor(std::vector<Head> heads, const DetectOptions& options)
    : heads_(std::move(heads)), options_(options) {}

const std::vector<Detection>& PostProcessor::run(std::span<const RawMap> raw_maps, int64_t image,
                                                 const Letterbox& letterbox, int image_width, int image_height) {
  candidates_.clear();
  decoder_.run(raw_maps, image, heads_, options_.decode, candidates_);
  suppress(letterbox, image_width, image_height);
  return detections_;
}

const std::vector<Detection>& PostProcessor::run(std::span<const Detection> candidates_net, const Letterbox& letterbox,
                                                 int image_width, int image_height) {
  candidates_.assign(candidates_net.begin(), candidates_net.end());
  suppress(letterbox, image_width, image_height);
  return detections_;
}

void PostProcessor::suppress(const Letterbox& letterbox, int image_width, int image_height) {
  to_image(candidates_, letterbox);
  if (options_.clip_first) clip_to_image(candidates_, image_width, image_height);
  nms_.run(candidates_, options_.nms, detections_);
  clip_to_image(detections_, image_width, image_height);
}

}  // namespace yolov3
