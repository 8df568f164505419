// The whole way from a picture to boxes: letterbox, network, decode, NMS, back to the picture's pixels.
// Threads: a Detector belongs to one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "detect/decode.h"
#include "detect/nms.h"
#include "engine/engine.h"
#include "image/letterbox.h"
#include "image/load.h"

namespace yolov3 {

struct DetectOptions {
  DecodeOptions decode;
  NmsOptions nms;
  bool letterbox = true;  // false: stretch
};

class Detector {
 public:
  // The engine must have been made from `spec`; pictures are letterboxed to spec.input.
  Detector(const NetworkSpec& spec, std::unique_ptr<Engine> engine, DetectOptions options);

  // box_image of the full picture, clipped to it, empty ones left out, highest score first.
  std::vector<Detection> detect(const LoadedImage& picture);
  std::vector<std::vector<Detection>> detect(const std::vector<LoadedImage>& pictures);  // one batch

  const NetworkSpec& spec() const { return spec_; }
  const std::vector<Head>& heads() const { return heads_; }
  const DetectOptions& options() const { return options_; }
  Engine& engine() { return *engine_; }

 private:
  std::vector<std::vector<Detection>> detect_batch(std::span<const LoadedImage> pictures);

  NetworkSpec spec_;
  std::vector<Head> heads_;
  std::unique_ptr<Engine> engine_;
  DetectOptions options_;
};

// The steps after the network, for raw maps that come from elsewhere (validation during training).
std::vector<Detection> detections_from_maps(const std::vector<Tensor>& raw_maps, int64_t image,
                                            const std::vector<Head>& heads, const Letterbox& letterbox, int image_width,
                                            int image_height, const DetectOptions& options);

// The last steps: candidates to the picture's pixels, clipped to it, empty ones left out, then NMS (in this order, as
// the notes' project does: clipped boxes overlap differently).
std::vector<Detection> detections_in_image(std::vector<Detection> candidates_net, const Letterbox& letterbox,
                                           int image_width, int image_height, const NmsOptions& options);

}  // namespace yolov3
