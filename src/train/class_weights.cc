#include "train/class_weights.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "base/usage.h"
#include "data/sampling.h"

namespace yolov3 {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;

// kind: of the error; a number that was typed is a usage error, one in a file is not.
double parse_weight(std::string_view text, const std::string& where, Error::Kind kind) {
  const std::optional<double> weight = parse_number(text);
  if (weight && *weight > 0 && *weight <= 1e6) return *weight;
  throw Error(fmt::format("{}: expected a weight over 0 and at most 1e6, got \"{}\"", where, text), kind);
}

std::vector<double> automatic(const Dataset& train) {
  const std::vector<int64_t> objects = objects_of_classes(train);
  double all = 0, sum = 0;  // sum over objects of 1/sqrt(objects of its class)
  for (const int64_t count : objects) {
    all += static_cast<double>(count);
    sum += std::sqrt(static_cast<double>(count));
  }
  std::vector<double> weights;
  for (const int64_t count : objects)
    weights.push_back(count > 0 ? all / sum / std::sqrt(static_cast<double>(count)) : 1);
  return weights;
}

bool is_list(const std::string& text) {
  const auto parts = split(text, ',');
  return std::ranges::all_of(parts, [](std::string_view part) { return parse_number(trim(part)).has_value(); });
}

std::vector<double> from_list(const std::string& text, size_t classes) {
  std::vector<double> weights;
  for (const std::string_view part : split(text, ','))
    weights.push_back(parse_weight(trim(part), "--class-weights", Error::Kind::usage));
  check_usage(weights.size() == classes, "--class-weights {}: expected {} weights, one for each class, got {}", text,
              classes, weights.size());
  return weights;
}

std::vector<double> from_file(const std::filesystem::path& file, const std::vector<std::string>& names) {
  check_usage(std::filesystem::exists(file),
              "--class-weights {}: expected none, auto, numbers or a file; there is no such file", file.string());
  const std::string text = read_file(file, kMaxFileBytes);
  std::vector<double> weights(names.size(), 1.0);
  std::set<size_t> seen;
  int line_number = 0;
  for (const std::string_view line : split_lines(text)) {
    const std::string where = fmt::format("{}:{}", file.string(), ++line_number);
    const std::string_view content = trim(line);
    if (content.empty()) continue;
    const size_t space = content.find_last_of(" \t");
    check(space != std::string_view::npos, "{}: expected NAME WEIGHT, got \"{}\"", where, content);
    const std::string name(trim(content.substr(0, space)));
    const auto found = std::ranges::find(names, name);
    const std::string near = closest_match(name, names);
    check(found != names.end(), "{}: there is no class \"{}\"{}", where, name,
          near.empty() ? "" : fmt::format("; did you mean {}?", near));
    const auto k = static_cast<size_t>(found - names.begin());
    check(seen.insert(k).second, "{}: the class \"{}\" stands here twice", where, name);
    weights[k] = parse_weight(content.substr(space + 1), where, Error::Kind::failure);
  }
  check(!seen.empty(), "{}: it names no class; expected lines NAME WEIGHT", file.string());
  return weights;
}

}  // namespace

std::vector<double> make_class_weights(const std::string& text, const Dataset& train) {
  if (text.empty() || text == "none") return {};
  if (text == "auto") return automatic(train);
  return is_list(text) ? from_list(text, train.names.size()) : from_file(text, train.names);
}

}  // namespace yolov3
