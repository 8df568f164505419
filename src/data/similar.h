// Pictures that are the same, or nearly: the same file twice, another compression, another size, another brightness.
//
// Two pictures are near when their hashes differ in at most kNearBits of 64 and their 16 x 16 thumbnails, each less its
// own mean, by at most kNearGrey of 255 on average. Near ones of near ones are one group.
// Time: a comparison of 64 bits for every pair of pictures (a second for 40,000 of them).
#pragma once

#include <cstdint>
#include <vector>

#include "data/look.h"

namespace yolov3 {

constexpr int kNearBits = 6;
constexpr double kNearGrey = 4.0;

struct SimilarGroup {
  std::vector<size_t> pictures;  // indices, ascending; at least two
  bool identical = false;        // all have the same bytes
};

bool is_near(const PictureLook& a, const PictureLook& b);

// In order of their first pictures.
std::vector<SimilarGroup> find_similar(const std::vector<const PictureLook*>& looks, int threads);

}  // namespace yolov3
