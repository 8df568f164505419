// What training and evaluation take in: pictures as planes and the objects in them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/objects.h"
#include "base/tensor.h"
#include "image/letterbox.h"

namespace yolov3 {

struct Batch {
  Tensor images;                                     // N,3,H,W  RGB in [0,1]
  std::vector<std::vector<Annotation>> objects_net;  // an entry an image, box_net, clipped to the input, not empty
  std::vector<int64_t> examples;                     // index in the Dataset
  std::vector<Letterbox> letterboxes;                // of each image; with augmentation: of the augmented picture
  std::vector<std::pair<int, int>> image_sizes;      // width, height of the original pictures
};

}  // namespace yolov3
