#include "app/run_list.h"

#include <fmt/format.h>

#include <algorithm>

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr size_t kMaxRuns = 1000;

// FNV-1a: the same id for the same path, in every process.
std::string id_of(const std::string& path) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return fmt::format("{:016x}", hash);
}

// Of the root, when it is a run itself: "runs/exp/" and "." have names, too.
std::string name_of(const fs::path& root) {
  const fs::path whole = fs::absolute(root).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

// Adds the folders in one. Of a folder that cannot be read there are none.
void add_folders(const fs::path& folder, const RunListLimits& limits, int& entries, std::vector<fs::path>& folders) {
  std::error_code ignored, unknown;
  int here = 0;
  for (fs::directory_iterator it(folder, ignored), end; !ignored && it != end; it.increment(ignored)) {
    if (++here > limits.of_folder || ++entries > limits.entries) return;
    const bool real_folder = it->is_directory(unknown) && !it->is_symlink(unknown);  // most files: without a stat()
    if (real_folder && !it->path().filename().string().starts_with('.')) folders.push_back(it->path());
  }
}

// Folders of runs, those nearest to the root first.
std::vector<fs::path> find_runs(const fs::path& root, const RunListLimits& limits) {
  std::vector<fs::path> found, level = {root};
  int entries = 0;
  for (int depth = 0; !level.empty(); ++depth) {
    std::vector<fs::path> below;
    for (const fs::path& folder : level) {
      if (is_run_folder(folder)) {
        found.push_back(folder);
      } else if (depth < limits.depth) {
        add_folders(folder, limits, entries, below);
      }
    }
    level = std::move(below);
  }
  return found;
}

}  // namespace

const RunSummary& RunList::summary_of(const fs::path& folder, double now) {
  Known& known = known_[folder];
  RunSummary& summary = known.summary;
  const std::string stamp = file_stamp(folder / "results.csv") + file_stamp(folder / "args.toml");
  if (known.stamp != stamp || stamp.empty()) {
    summary = summarize_run(folder, now);
    known.stamp = stamp;
  } else {
    refresh_state(folder, now, summary);
  }
  return summary;
}

const std::vector<ListedRun>& RunList::refresh(double now) {
  const std::vector<fs::path> folders = find_runs(root_, limits_);
  runs_.clear();
  std::map<fs::path, Known> kept;
  for (const fs::path& folder : folders) {
    const std::string name = folder == root_ ? name_of(root_) : folder.lexically_relative(root_).string();
    runs_.push_back({id_of(folder.string()), name, folder, summary_of(folder, now)});
    kept.insert(known_.extract(folder));
  }
  known_ = std::move(kept);  // without those that are gone
  std::ranges::sort(runs_, [](const ListedRun& a, const ListedRun& b) {
    return a.summary.updated != b.summary.updated ? a.summary.updated > b.summary.updated : a.name < b.name;
  });
  more_ = static_cast<int64_t>(runs_.size() - std::min(runs_.size(), kMaxRuns));
  if (more_ > 0) runs_.resize(kMaxRuns);
  return runs_;
}

const ListedRun* RunList::find(const std::string& id) const {
  const auto found = std::ranges::find(runs_, id, &ListedRun::id);
  return found == runs_.end() ? nullptr : &*found;
}

}  // namespace yolov3
