#include "detect/post_process.h"

#include <utility>

namespace yolov3 {
namespace {

// box_net to box_image, clipped to the picture; those that are empty then are left out.
void to_image(std::vector<Detection>& candidates, const Letterbox& letterbox, int image_width, int image_height) {
  size_t used = 0;
  for (const Detection& candidate_net : candidates) {
    Detection found = candidate_net;
    found.box = clip(image_from_net(letterbox, candidate_net.box), static_cast<float>(image_width),
                     static_cast<float>(image_height));
    if (found.box.area() > 0) candidates[used++] = found;  // false for not-a-number too
  }
  candidates.resize(used);
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

// Clipping before NMS, as the notes' project does: clipped boxes overlap differently.
void PostProcessor::suppress(const Letterbox& letterbox, int image_width, int image_height) {
  to_image(candidates_, letterbox, image_width, image_height);
  nms_.run(candidates_, options_.nms, detections_);
}

}  // namespace yolov3
