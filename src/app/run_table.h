// results.csv of a training run, ours or another program's, as columns of numbers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace yolov3 {

struct RunTable {
  std::vector<std::string> columns;
  std::vector<std::vector<double>> values;  // a column; NaN where the file has nothing or no number

  size_t rows() const { return values.empty() ? 0 : values[0].size(); }
  const std::vector<double>* column(std::string_view name) const;  // null when there is none
};

// A last line without its end is still being written and left out, and so are lines of another number of fields. Of more
// than `max_rows` rows every second, third, ... is kept, and the last.
RunTable parse_run_table(std::string_view csv, size_t max_rows = 5000);

}  // namespace yolov3
