// The one resize of training, evaluation and deployment: a picture into the network's input, and boxes there and back.
//
// Letterboxed: scale = min(W/w, H/h), unrounded on both axes; resized side = round-half-even(side * scale);
// pad = floor(rest / 2), grey 128; bilinear. Stretched: W/w and H/h, no pad.
// Frame: image = pixels of the original picture; net = pixels of the network input.
// Source: the notes' image_preporcess without its rounding (defects D4 and D23).
#pragma once

#include <cstdint>
#include <vector>

#include "base/box.h"
#include "image/image.h"

namespace yolov3 {

constexpr uint8_t kPadGrey = 128;

struct Letterbox {
  int net_width = 0, net_height = 0;
  int resized_width = 0, resized_height = 0;  // of the picture inside the input
  double scale_x = 1, scale_y = 1;
  int pad_x = 0, pad_y = 0;
};

Letterbox make_letterbox(int image_width, int image_height, int net_width, int net_height);
Letterbox make_stretch(int image_width, int image_height, int net_width, int net_height);

Box net_from_image(const Letterbox& letterbox, const Box& box_image);
Box image_from_net(const Letterbox& letterbox, const Box& box_net);

// The picture inside its grey frame. `image` may be a reduced decode of the picture that the letterbox was made for.
Image apply_letterbox(const Image& image, const Letterbox& letterbox);

// What apply_letterbox_into() works with: kept from picture to picture, it allocates nothing once it has grown.
struct LetterboxScratch {
  struct Tap {  // a sample lies between the source pixels `first` and `second`
    int first, second, weight_first, weight_second;
  };
  std::vector<Tap> columns, rows;
  std::vector<int32_t> lines;
};

// The same into `out`, whose memory is reused. Threads: any, each with a scratch and an `out` of its own.
void apply_letterbox_into(const Image& image, const Letterbox& letterbox, LetterboxScratch& scratch, Image& out);

// Writes (3,H,W) planes of float RGB in [0,1].
void planes_from_image(const Image& image, float* planes);

}  // namespace yolov3
