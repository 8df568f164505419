#include "data/data_yaml.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "data/text_guard.h"

namespace yolov3 {
namespace {

constexpr uint64_t kMaxYamlBytes = 1 << 20;

const std::vector<std::string> kKeys = {"path", "train", "val", "test", "names", "nc"};
const std::vector<std::string> kOfOtherTools = {"download", "roboflow", "author",   "description", "license",
                                                "url",      "version",  "channels", "yaml_file"};

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

class Parser {
 public:
  explicit Parser(const std::filesystem::path& path) : path_(path.string()) { yaml_.root = path.parent_path(); }

  DataYaml parse(std::string_view text) && {
    const YAML::Node document = YAML::Load(std::string(text));
    expect(document.IsMap(), document, "expected `key: value` lines (path, train, val, test, names)");
    std::optional<int64_t> class_count;
    std::set<std::string> seen;
    for (const auto& entry : document) {
      expect(entry.first.IsScalar(), entry.first, "expected a word as the key");
      const std::string key = entry.first.Scalar();
      expect(seen.insert(key).second, entry.first, "the key \"" + shown(key) + "\" stands twice");
      if (key == "path") {
        yaml_.root = resolve_beside(path_, scalar(entry.second, "a path"));
      } else if (key == "train" || key == "val" || key == "test") {
        parse_split(key, entry.second);
      } else if (key == "names") {
        parse_names(entry.second);
      } else if (key == "nc") {
        class_count = parse_integer(scalar(entry.second, "a number"));
        expect(class_count.has_value(), entry.second, "expected a whole number as nc");
      } else {
        unknown_key(key, entry.first);
      }
    }
    expect(!yaml_.splits.empty(), document, "expected at least one of train, val and test");
    expect(!class_count || yaml_.names.empty() || *class_count == static_cast<int64_t>(yaml_.names.size()),
           document["nc"], fmt::format("nc is {} but there are {} names", class_count.value_or(0), yaml_.names.size()));
    return std::move(yaml_);
  }

 private:
  // yaml-cpp counts lines from 0, and has -1 for nodes that are not there.
  void expect(bool ok, const YAML::Node& node, const std::string& message) const {
    if (!ok) fail("{}:{}: {}", path_, std::max(0, node.Mark().line) + 1, message);
  }

  std::string scalar(const YAML::Node& node, const char* what) const {
    expect(node.IsScalar() && !trim(node.Scalar()).empty(), node, fmt::format("expected {}", what));
    return std::string(trim(node.Scalar()));
  }

  void parse_split(const std::string& key, const YAML::Node& node) {
    if (node.IsNull()) return;  // `test:` with nothing, as Ultralytics' own files have it
    std::vector<std::string>& sources = yaml_.splits[key];
    if (!node.IsSequence()) {
      sources.push_back(scalar(node, "a data source or a list of them"));
      return;
    }
    for (const YAML::Node& item : node) sources.push_back(scalar(item, "a data source"));
    expect(!sources.empty(), node, "expected at least one data source");
  }

  void parse_names(const YAML::Node& node) {
    if (node.IsSequence()) {
      for (const YAML::Node& item : node) yaml_.names.push_back(class_name(item));
    } else {
      expect(node.IsMap(), node, "expected the class names as a list or as {0: name, 1: name}");
      std::map<int64_t, std::string> by_id;
      for (const auto& entry : node) {
        const std::optional<int64_t> id = parse_integer(scalar(entry.first, "a class number"));
        expect(id.has_value(), entry.first, "expected a class number");
        expect(by_id.emplace(*id, class_name(entry.second)).second, entry.first,
               fmt::format("class {} stands twice", *id));
      }
      for (auto& [id, name] : by_id) {
        expect(
            id == static_cast<int64_t>(yaml_.names.size()), node,
            fmt::format("class numbers must run from 0 without gaps: expected {}, found {}", yaml_.names.size(), id));
        yaml_.names.push_back(std::move(name));
      }
    }
    expect(!yaml_.names.empty(), node, "expected at least one class name");
  }

  std::string class_name(const YAML::Node& node) const {
    const std::string name = scalar(node, "a class name");
    expect(name.size() <= 256 && is_utf8(name) && shown(name, 256) == name, node,
           "expected a class name of at most 256 bytes of plain UTF-8, found \"" + shown(name) + "\"");
    return name;
  }

  void unknown_key(const std::string& key, const YAML::Node& node) {
    if (contains(kOfOtherTools, key)) {
      yaml_.ignored.push_back(key);
      return;
    }
    const std::string near = likely_meant(key, kKeys);
    expect(false, node,
           fmt::format("unknown key \"{}\"{}; known are {}", shown(key),
                       near.empty() ? "" : "; did you mean \"" + near + "\"?", fmt::join(kKeys, ", ")));
  }

  std::string path_;
  DataYaml yaml_;
};

}  // namespace

DataYaml parse_data_yaml(std::string_view text, const std::filesystem::path& path) {
  check_is_text(text, path.string());
  check(is_utf8(text), "{}: expected UTF-8 text; save it as UTF-8", path.string());
  try {
    return Parser(path).parse(without_bom(text));
  } catch (const YAML::Exception& error) {
    fail("{}:{}: not readable as YAML: {}", path.string(), std::max(0, error.mark.line) + 1, shown(error.msg, 200));
  }
}

DataYaml read_data_yaml(const std::filesystem::path& path) {
  return parse_data_yaml(read_text(path, kMaxYamlBytes), path);
}

}  // namespace yolov3
