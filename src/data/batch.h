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

  // Of a batch that several ranks share (LoaderOptions::ranks). Where there are more ranks than pictures, those without
  // one have the batch's first, so that they keep step with the others; it does not count.
  int64_t whole = 0;   // pictures of all ranks together; 0: these are all
  bool counts = true;  // whether these pictures are among them
};

inline int64_t pictures_of_all(const Batch& batch) {
  return batch.whole > 0 ? batch.whole : static_cast<int64_t>(batch.examples.size());
}

}  // namespace yolov3
