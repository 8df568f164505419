#include "app/run_table.h"

#include <algorithm>
#include <limits>

#include "base/text.h"

namespace yolov3 {
namespace {

constexpr size_t kMaxColumns = 64;

void thin_out(std::vector<double>& values, size_t max_rows) {
  const size_t stride = (values.size() + max_rows - 1) / max_rows;
  std::vector<double> kept;
  for (size_t i = 0; i < values.size(); i += stride) kept.push_back(values[i]);
  if ((values.size() - 1) % stride != 0) kept.push_back(values.back());
  values = std::move(kept);
}

}  // namespace

const std::vector<double>* RunTable::column(std::string_view name) const {
  const auto found = std::ranges::find(columns, name);
  return found == columns.end() ? nullptr : &values[static_cast<size_t>(found - columns.begin())];
}

RunTable parse_run_table(std::string_view csv, size_t max_rows) {
  RunTable table;
  const size_t end = csv.rfind('\n');
  if (end == std::string_view::npos) return table;
  for (const std::string_view line : split_lines(csv.substr(0, end))) {
    const std::vector<std::string_view> fields = split(line, ',');
    if (table.columns.empty()) {
      if (trim(line).empty() || fields.size() > kMaxColumns) continue;
      for (const std::string_view field : fields) table.columns.emplace_back(trim(field));
      table.values.resize(fields.size());
    } else if (fields.size() == table.columns.size()) {
      for (size_t i = 0; i < fields.size(); ++i) {
        table.values[i].push_back(parse_number(trim(fields[i])).value_or(std::numeric_limits<double>::quiet_NaN()));
      }
    }
  }
  if (table.rows() > max_rows) {
    for (std::vector<double>& column : table.values) thin_out(column, max_rows);
  }
  return table;
}

}  // namespace yolov3
