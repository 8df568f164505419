// The way from raw maps to the boxes of one picture: decode, back to the picture's pixels, NMS.
// Threads: a PostProcessor belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "detect/decode.h"
#include "detect/nms.h"
#include "image/letterbox.h"

namespace yolov3 {

struct DetectOptions {
  DecodeOptions decode;
  NmsOptions nms;
  bool letterbox = true;  // false: stretch
  // Boxes are clipped to the picture before NMS, as the notes' project does it, or after it, as Darknet, OpenCV and
  // Ultralytics do: boxes that reach beyond a border overlap by more once they are clipped.
  bool clip_first = false;
};

// Keeps its working memory, so that it allocates only for more candidates than it has ever had.
class PostProcessor {
 public:
  PostProcessor(std::vector<Head> heads, const DetectOptions& options);

  // box_image of image `image` of the batch: clipped to the picture, empty ones left out, highest score first. Valid
  // until the next call. raw_maps: one a head, as engines return them (views_of for Tensors).
  const std::vector<Detection>& run(std::span<const RawMap> raw_maps, int64_t image, const Letterbox& letterbox,
                                    int image_width, int image_height);

  // The steps after decode, for candidates (box_net) from elsewhere.
  const std::vector<Detection>& run(std::span<const Detection> candidates_net, const Letterbox& letterbox,
                                    int image_width, int image_height);

  const std::vector<Head>& heads() const { return heads_; }
  const DetectOptions& options() const { return options_; }

 private:
  void suppress(const Letterbox& letterbox, int image_width, int image_height);

  std::vector<Head> heads_;
  DetectOptions options_;
  Decoder decoder_;
  Nms nms_;
  std::vector<Detection> candidates_, detections_;
};

}  // namespace yolov3
