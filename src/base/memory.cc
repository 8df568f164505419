#include "base/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

std::string text_of(const fs::path& file) {
  try {
    return read_file(file);
  } catch (const Error&) {
    return "";  // not there, or not ours to read
  }
}

std::optional<int64_t> number_in(const fs::path& file) { return parse_integer(trim(text_of(file))); }

// The number behind `key` in lines of words ("MemAvailable: 123 kB", "inactive_file 123").
std::optional<int64_t> value_of(const std::string& text, std::string_view key) {
  for (const std::string_view line : split_lines(text)) {
    const std::vector<std::string_view> words = split_words(line);
    if (words.size() >= 2 && words[0] == key) return parse_integer(words[1]);
  }
  return std::nullopt;
}

struct GroupFiles {
  const char *limit, *usage, *reclaimable;
};
constexpr GroupFiles kVersion2{"memory.max", "memory.current", "inactive_file"};
constexpr GroupFiles kVersion1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};

// What one group leaves; nothing: no limit.
std::optional<int64_t> left_in(const fs::path& group, const GroupFiles& files) {
  const std::optional<int64_t> limit = number_in(group / files.limit), usage = number_in(group / files.usage);
  if (!limit || !usage) return std::nullopt;  // "max" is no number
  const int64_t given_up = value_of(text_of(group / "memory.stat"), files.reclaimable).value_or(0);
  return std::max<int64_t>(0, *limit - *usage + given_up);
}

// The least that the groups from `group` up to `mount` leave.
void ask_groups(const fs::path& mount, fs::path group, const GroupFiles& files, std::optional<int64_t>& least) {
  for (;;) {
    if (const std::optional<int64_t> left = left_in(mount / group, files))
      least = std::min(least.value_or(*left), *left);
    if (group.empty()) return;
    group = group.parent_path();
  }
}

}  // namespace

int64_t machine_memory() {
  int64_t bytes = static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  // Control groups version 2 and 1; "max", or a file that is not there, is no number.
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    int64_t limit = 0;
    if (std::ifstream(path) >> limit && limit > 0) bytes = std::min(bytes, limit);
  }
  return bytes;
}

int64_t process_memory() {
  const std::string text = text_of("/proc/self/statm");
  const std::vector<std::string_view> words = split_words(text);
  return words.size() < 2 ? 0 : parse_integer(words[1]).value_or(0) * ::sysconf(_SC_PAGESIZE);
}

int64_t peak_memory() {
  // Of this program's memory alone; ru_maxrss may be that of the program which started it.
  if (const std::optional<int64_t> peak = value_of(text_of("/proc/self/status"), "VmHWM:")) return *peak * 1024;
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{1024} * usage.ru_maxrss;
}

int64_t available_memory(const fs::path& root) {
  std::optional<int64_t> least;
  const std::optional<int64_t> machine = value_of(text_of(root / "proc/meminfo"), "MemAvailable:");
  if (machine) least = *machine * 1024;
  // "0::/a/b" is version 2's group, "9:memory:/a/b" version 1's.
  const std::string groups = text_of(root / "proc/self/cgroup");
  for (const std::string_view line : split_lines(groups)) {
    const std::vector<std::string_view> parts = split(line, ':');
    if (parts.size() < 3) continue;
    const fs::path group = fs::path(parts[2]).relative_path();
    if (parts[1].empty()) ask_groups(root / "sys/fs/cgroup", group, kVersion2, least);
    const std::vector<std::string_view> controllers = split(parts[1], ',');
    if (std::ranges::find(controllers, "memory") != controllers.end()) {
      ask_groups(root / "sys/fs/cgroup/memory", group, kVersion1, least);
    }
  }
  return least.value_or(-1);
}

}  // namespace yolov3
