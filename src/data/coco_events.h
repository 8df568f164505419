// The events of a COCO file, put together to one entry of its lists at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <istream>
#include <map>
#include <optional>
#include <string>

namespace yolov3 {

enum class CocoList { none, images, annotations, categories };

// What one {...} of a list says. Numbers may stand in quotation marks; other values of the wrong kind count as absent.
struct CocoEntry {
  std::optional<int64_t> id, image_id, category_id;
  std::optional<double> width, height, area;
  std::optional<std::string> file_name, name;
  bool crowd = false, ignore = false;
  double bbox[4] = {};
  int bbox_size = 0;  // numbers in it; anything but 4 is no box, and -1 is spoilt for good
  int64_t line = 0;   // of its first brace
};

struct CocoVisitor {
  std::function<void(const CocoEntry&)> image, annotation, category;
  bool categories_only = false;           // stop behind them
  std::map<std::string, int64_t> unheld;  // filled: keys that are not looked at
};

// Errors as in coco.h.
void visit_coco(std::istream& in, const std::string& name, CocoVisitor& visitor);

}  // namespace yolov3
