// One annotation of Pascal VOC: an XML text to what it states.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/voc.h"

namespace yolov3 {

class VocParser {
 public:
  // `names` give the class ids. Errors: one stands twice.
  explicit VocParser(const std::vector<std::string>& names);

  // As parse_voc_xml (voc.h). What is wrong is in the picture's defect and its boxes.
  StatedPicture parse(std::string_view text, const std::string& file, Unheld* unheld) const;

 private:
  std::unordered_map<std::string, int64_t> ids_;
};

// The class names of the text; none where it cannot be read.
void add_voc_names(std::string_view text, std::set<std::string>& names);

}  // namespace yolov3
