// Pictures into splits so that every class stands in each of them in the same share, by lot from a seed.
//
// Groups of pictures (copies of each other) stay together. Rare classes are dealt out first: each of their groups goes
// to the split that still lacks most of that class. Source: Sechidis, Tsoumakas, Vlahavas 2011, "On the stratification
// of multi-label data".
#pragma once

#include <cstdint>
#include <vector>

#include "data/dataset.h"

namespace yolov3 {

// A number of the split, 0 <= n < shares.size(), for each picture. `shares` are >= 0 and sum to 1; a split with a share
// above 0 gets at least one picture while there are enough. `groups` may leave pictures out: these stand alone.
std::vector<size_t> stratify(const std::vector<Example>& pictures, size_t classes,
                             const std::vector<std::vector<size_t>>& groups, const std::vector<double>& shares,
                             uint64_t seed);

}  // namespace yolov3
