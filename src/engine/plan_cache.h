// Measured plans, kept in a small text file so that a machine measures once: a line a plan, "KEY<tab>PLAN".
//
// The file is $YOLOV3_CACHE/plans, else $XDG_CACHE_HOME/yolov3/plans, else ~/.cache/yolov3/plans; without any of these
// variables nothing is kept. At most kMostPlans lines, the newest first. A file that cannot be read or written costs a
// warning, never the run; lines that are no plans are left out at the next write.
// Threads and processes: writes are atomic; of two at the same time one is lost, and measured again another day.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace yolov3 {

constexpr size_t kMostPlans = 200;

std::filesystem::path plan_cache_path();  // empty: none
std::optional<std::string> read_cached_plan(const std::filesystem::path& file, const std::string& key);
void write_cached_plan(const std::filesystem::path& file, const std::string& key, const std::string& plan);

}  // namespace yolov3
