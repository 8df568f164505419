#include "engine/plan_cache.h"

#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"

namespace yolov3 {
namespace {

constexpr uint64_t kMostBytes = 4 << 20;

struct Line {
  std::string key, plan;
};

// Of an engine in use or of one that trains: write_plan(), write_training_plan().
bool is_plan(std::string_view text) { return text.starts_with("plan ") || text.starts_with("training-plan "); }

std::vector<Line> read_lines(const std::filesystem::path& file) {
  std::vector<Line> lines;
  std::error_code none;
  if (file.empty() || !std::filesystem::exists(file, none)) return lines;
  try {
    const std::string text = read_file(file, kMostBytes);
    for (const std::string_view line : split(text, '\n')) {
      const size_t tab = line.find('\t');
      if (tab == std::string_view::npos || !is_plan(line.substr(tab + 1))) continue;
      lines.push_back({std::string(line.substr(0, tab)), std::string(line.substr(tab + 1))});
    }
  } catch (const std::exception& error) {
    log_warning("the cache of measured plans is not used: {}", error.what());
  }
  return lines;
}

std::filesystem::path from_variable(const char* name, const char* below) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? std::filesystem::path() : std::filesystem::path(value) / below;
}

}  // namespace

std::filesystem::path plan_cache_path() {
  for (const auto& [name, below] : {std::pair{"YOLOV3_CACHE", "plans"}, std::pair{"XDG_CACHE_HOME", "yolov3/plans"},
                                    std::pair{"HOME", ".cache/yolov3/plans"}}) {
    std::filesystem::path path = from_variable(name, below);
    if (!path.empty()) return path;
  }
  return {};
}

std::optional<std::string> read_cached_plan(const std::filesystem::path& file, const std::string& key) {
  for (const Line& line : read_lines(file)) {
    if (line.key == key) return line.plan;
  }
  return std::nullopt;
}

void write_cached_plan(const std::filesystem::path& file, const std::string& key, const std::string& plan) {
  if (file.empty()) return;
  std::string text = key + "\t" + plan + "\n";
  size_t kept = 1;
  for (const Line& line : read_lines(file)) {
    if (line.key == key || kept++ >= kMostPlans) continue;
    text += line.key + "\t" + line.plan + "\n";
  }
  try {
    make_directories(file.parent_path());
    write_file(file, text);
  } catch (const std::exception& error) {
    log_warning("the measured plan is not kept: {}", error.what());
  }
}

}  // namespace yolov3
