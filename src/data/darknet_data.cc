#include "data/darknet_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "data/text_guard.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr uint64_t kMaxDataBytes = 1 << 20;
constexpr size_t kMaxPathBytes = 4096;

const std::vector<std::string> kKeys = {"classes", "train", "valid", "val", "test", "names"};
const std::vector<std::string> kMeaningless = {"backup",      "results",   "eval",           "top",        "labels",
                                               "map",         "difficult", "tree",           "checkpoint", "coco",
                                               "saveweights", "savemAP",   "difficult_valid"};

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

DarknetData parse_darknet_data(std::string_view text, const std::string& name) {
  check_is_text(text, name);
  DarknetData data;
  std::set<std::string> seen;
  int64_t number = 0;
  for (const std::string_view raw : split_lines(text)) {
    ++number;
    const std::string_view line = trim(raw);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    const size_t equals = line.find('=');
    check(equals != std::string_view::npos, "{}:{}: expected key = value, found \"{}\"", name, number, shown(line));
    const std::string key(trim(line.substr(0, equals))), value(trim(line.substr(equals + 1)));
    check(!value.empty() && value.size() <= kMaxPathBytes, "{}:{}: expected a value for \"{}\"", name, number,
          shown(key));
    const bool known = contains(kKeys, key);
    if (!known && contains(kMeaningless, key)) {
      data.ignored.push_back(key);
      continue;
    }
    const std::string near = known ? "" : likely_meant(key, kKeys);
    check(known, "{}:{}: unknown key \"{}\"{}; known are {}", name, number, shown(key),
          near.empty() ? "" : "; did you mean \"" + near + "\"?", fmt::join(kKeys, ", "));
    const std::string meaning = key == "valid" ? "val" : key;
    check(seen.insert(meaning).second, "{}:{}: the key \"{}\" stands twice", name, number, key);
    if (meaning == "classes") {
      data.classes = parse_integer(value).value_or(0);
      check(data.classes >= 1, "{}:{}: expected the number of classes, found \"{}\"", name, number, shown(value));
    } else if (meaning == "names") {
      data.names = value;
    } else {
      data.splits[meaning] = value;
    }
  }
  check(!data.splits.empty(), "{}: expected at least one of train, valid and test", name);
  return data;
}

DarknetData read_darknet_data(const fs::path& path) {
  return parse_darknet_data(read_text(path, kMaxDataBytes), path.string());
}

std::vector<fs::path> darknet_bases(const fs::path& path) {
  const fs::path folder = path.parent_path();
  return {folder, folder / "..", folder / ".." / "..", fs::path()};
}

fs::path find_from(const std::vector<fs::path>& bases, const std::string& written) {
  std::error_code reason;
  for (const fs::path& base : bases) {
    if (fs::exists(base / written, reason)) return (base / written).lexically_normal();
  }
  return (bases.front() / written).lexically_normal();
}

}  // namespace yolov3
