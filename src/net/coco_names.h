// The 80 classes of COCO, in the order in which every published YOLOv3 for COCO numbers them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace yolov3 {

const std::vector<std::string>& coco_names();

// The category ids of a COCO results file: COCO's own, 1 to 90 with gaps, where these are its 80 classes in order; else the
// classes' numbers.
std::vector<int> coco_category_ids(const std::vector<std::string>& names);

// Whether two names mean one class: equal, or one of the six that COCO calls "airplane" and VOC and Darknet's lists call
// "aeroplane".
bool same_class(std::string_view a, std::string_view b);

}  // namespace yolov3
