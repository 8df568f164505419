#include "detect/detector.h"

#include <utility>

#include "base/error.h"

namespace yolov3 {
namespace {

Letterbox letterbox_for(const LoadedImage& picture, const NetworkSpec& spec, bool letterbox) {
  const auto width = static_cast<int>(spec.input.width), height = static_cast<int>(spec.input.height);
  return letterbox ? make_letterbox(picture.full_width, picture.full_height, width, height)
                   : make_stretch(picture.full_width, picture.full_height, width, height);
}

}  // namespace

Detector::Detector(const NetworkSpec& spec, std::unique_ptr<Engine> engine, DetectOptions options)
    : spec_(spec), heads_(yolov3::heads(spec)), engine_(std::move(engine)), options_(options) {
  check(engine_ != nullptr, "a detector needs an engine");
  check(spec_.input.channels == 3, "pictures have 3 channels, the network takes {}", spec_.input.channels);
}

std::vector<Detection> Detector::detect(const LoadedImage& picture) {
  return std::move(detect_batch({&picture, 1}).front());
}

std::vector<std::vector<Detection>> Detector::detect(const std::vector<LoadedImage>& pictures) {
  return detect_batch(pictures);
}

std::vector<std::vector<Detection>> Detector::detect_batch(std::span<const LoadedImage> pictures) {
  if (pictures.empty()) return {};
  // 1. Letterbox every picture into one batch.
  Tensor images({static_cast<int64_t>(pictures.size()), 3, spec_.input.height, spec_.input.width});
  std::vector<Letterbox> letterboxes;
  for (size_t i = 0; i < pictures.size(); ++i) {
    letterboxes.push_back(letterbox_for(pictures[i], spec_, options_.letterbox));
    planes_from_image(apply_letterbox(pictures[i].image, letterboxes[i]),
                      images.data() + static_cast<int64_t>(i) * spec_.input.size());
  }
  // 2. The network.
  const std::vector<Tensor> raw_maps = engine_->forward(images);
  // 3. Boxes of each picture.
  std::vector<std::vector<Detection>> detections;
  for (size_t i = 0; i < pictures.size(); ++i) {
    detections.push_back(detections_from_maps(raw_maps, static_cast<int64_t>(i), heads_, letterboxes[i],
                                              pictures[i].full_width, pictures[i].full_height, options_));
  }
  return detections;
}

std::vector<Detection> detections_from_maps(const std::vector<Tensor>& raw_maps, int64_t image,
                                            const std::vector<Head>& heads, const Letterbox& letterbox, int image_width,
                                            int image_height, const DetectOptions& options) {
  return detections_in_image(decode(raw_maps, image, heads, options.decode), letterbox, image_width, image_height,
                             options.nms);
}

std::vector<Detection> detections_in_image(std::vector<Detection> candidates_net, const Letterbox& letterbox,
                                           int image_width, int image_height, const NmsOptions& options) {
  size_t used = 0;
  for (const Detection& candidate : candidates_net) {
    Detection found = candidate;
    found.box = clip(image_from_net(letterbox, candidate.box), static_cast<float>(image_width),
                     static_cast<float>(image_height));
    if (found.box.area() > 0) candidates_net[used++] = found;  // false for not-a-number too
  }
  candidates_net.resize(used);
  return non_maximum_suppression(std::move(candidates_net), options);
}

}  // namespace yolov3
