// Objects that are very unlike the others of their class in size and colour: often a wrong label or a slipped box.
//
// Of each class the middle and the spread of every feature (look.h) are taken as median and median deviation, which a
// few strangers do not move; an object's distance is the root mean square of its features in units of the spread. An
// object is the more suspicious the farther it is from its own class, and the better another class fits.
#pragma once

#include <string>
#include <vector>

#include "data/look.h"

namespace yolov3 {

struct Suspect {
  size_t picture = 0, object = 0;  // indices
  double distance = 0;             // from its class, in spreads
  int likely_class = -1;           // that fits better; -1 = none does
  double likely_distance = 0;
};

// The `count` most suspicious, worst first. `pictures` and `looks` go together. Classes of fewer than
// kLeastObjects objects have no middle to be far from and are not judged.
constexpr size_t kLeastObjects = 8;
std::vector<Suspect> find_suspects(const std::vector<const Example*>& pictures,
                                   const std::vector<const PictureLook*>& looks, size_t classes, size_t count);

}  // namespace yolov3
