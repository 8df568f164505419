#include "data/files_below.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string>

#include "base/error.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr size_t kMaxFiles = 20'000'000;

// `visit` says whether to go on. False = it said no.
class Walk {
 public:
  explicit Walk(const std::function<bool(const fs::path&)>& visit, bool deep = true) : visit_(visit), deep_(deep) {}

  bool enter(const fs::path& folder) {
    std::error_code reason;
    const fs::path real = fs::canonical(folder, reason);
    const auto check_listing = [&] { check(!reason, "{}: cannot list: {}", folder.string(), reason.message()); };
    check_listing();
    if (!on_the_way_.insert(real).second) return true;  // a link back
    fs::directory_iterator entry(folder, reason);
    check_listing();
    for (const fs::directory_iterator end; entry != end; entry.increment(reason), check_listing()) {
      std::error_code gone;
      const fs::file_type type = entry->status(gone).type();
      const bool dangling = type == fs::file_type::not_found && entry->is_symlink(gone);
      if (type == fs::file_type::directory) {
        if (deep_ && !enter(entry->path())) return false;
      } else if (type == fs::file_type::regular || dangling) {
        if (!visit_(entry->path())) return false;
      }
    }
    on_the_way_.erase(real);
    return true;
  }

 private:
  const std::function<bool(const fs::path&)>& visit_;
  const bool deep_;
  std::set<fs::path> on_the_way_;
};

std::vector<fs::path> all_files(const fs::path& folder, bool deep) {
  std::vector<fs::path> files;
  const auto take = [&](const fs::path& file) {
    check(files.size() < kMaxFiles, "{}: more than {} files", folder.string(), kMaxFiles);
    files.push_back(file);
    return true;
  };
  Walk(take, deep).enter(folder);
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

bool is_there(const fs::path& path) {
  std::error_code reason;
  return fs::exists(path, reason);
}

bool is_folder(const fs::path& path) {
  std::error_code reason;
  return fs::is_directory(path, reason);
}

std::vector<fs::path> files_below(const fs::path& folder) { return all_files(folder, true); }

std::vector<fs::path> files_in(const fs::path& folder) { return all_files(folder, false); }

bool any_file_below(const fs::path& folder, const std::function<bool(const fs::path&)>& fits) {
  return !Walk([&](const fs::path& file) { return !fits(file); }).enter(folder);
}

fs::path existing_path(const fs::path& path) {
  std::error_code reason;
  std::string text = path.string();
  if (text.find('\\') == std::string::npos || fs::exists(path, reason)) return path;
  std::replace(text.begin(), text.end(), '\\', '/');
  return fs::exists(text, reason) ? fs::path(text) : path;
}

bool is_shadow_of_macos(const fs::path& file) { return file.filename().string().starts_with("._"); }

bool is_below(const fs::path& path, const fs::path& folder) {
  std::error_code none;
  // Absolute first: of a relative path that begins with what is not there yet, nothing would be resolved.
  const fs::path place = fs::weakly_canonical(fs::absolute(path, none), none);
  const fs::path base = fs::weakly_canonical(fs::absolute(folder, none), none);
  const auto [end, in_place] = std::mismatch(base.begin(), base.end(), place.begin(), place.end());
  return end == base.end() || (std::next(end) == base.end() && end->empty());
}

}  // namespace yolov3
