// Reading golden/yolov3.h5 in tests. A data set or attribute by its path, as doubles.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace yolov3 {

struct GoldenArray {
  std::vector<int64_t> shape;
  std::vector<double> values;

  int64_t rows() const { return shape.at(0); }
  const double* row(int64_t i) const { return values.data() + i * (shape.size() > 1 ? shape[1] : 1); }
};

GoldenArray golden_array(const std::string& path);                                 // "assign/0/cells"
GoldenArray golden_attribute(const std::string& object, const std::string& name);  // "assign/0", "input_size"
double golden_number(const std::string& object, const std::string& name);

}  // namespace yolov3
