#include "app/sources.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "base/usage.h"
#include "image/load.h"

namespace yolov3 {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxListBytes = uint64_t{1} << 28;
constexpr size_t kMaxStemBytes = 200;  // names have 255 at most, those of files under construction are longer

void refuse_streams(const std::string& source) {
  static const char* const kVideo[] = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"};
  const bool video = std::any_of(std::begin(kVideo), std::end(kVideo),
                                 [&](const char* ending) { return ends_with_ignoring_case(source, ending); });
  if (video || source.find("://") != std::string::npos || (parse_integer(source) && !fs::exists(source))) {
    fail_usage(
        "--source {}: this version reads pictures only (an image, a folder, a glob or a list.txt), "
        "no video, camera or address",
        source);
  }
}

std::vector<fs::path> expand_glob(const std::string& pattern) {
  glob_t found{};
  const int code = ::glob(pattern.c_str(), GLOB_BRACE | GLOB_TILDE, nullptr, &found);
  std::vector<fs::path> paths(found.gl_pathv, found.gl_pathv + (code == 0 ? found.gl_pathc : 0));
  ::globfree(&found);
  if (code != 0 && code != GLOB_NOMATCH) fail_usage("--source {}: a folder on the way cannot be read", pattern);
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<fs::path> pictures_of(const std::vector<fs::path>& files) {
  std::vector<fs::path> pictures;
  std::copy_if(files.begin(), files.end(), std::back_inserter(pictures),
               [](const fs::path& path) { return has_image_extension(path) && !fs::is_directory(path); });
  return pictures;
}

std::vector<fs::path> read_list(const fs::path& list) {
  const std::string text = read_file(list, kMaxListBytes);
  std::vector<fs::path> paths;
  for (const std::string_view line : split_lines(text)) {
    const std::string_view path = trim(line);
    if (path.find('\0') != std::string_view::npos)
      fail_usage("--source {}: not a list of paths: it holds zero bytes", list.string());
    if (!path.empty()) paths.push_back(resolve_beside(list, path));
  }
  return paths;
}

std::vector<fs::path> find_pictures(const std::string& source) {
  std::error_code ignored;
  if (fs::is_directory(source, ignored)) return pictures_of(list_files(source));
  if (fs::exists(source, ignored)) {
    return ends_with_ignoring_case(source, ".txt") ? read_list(source) : std::vector<fs::path>{source};
  }
  if (source.find_first_of("*?[{") != std::string::npos) return pictures_of(expand_glob(source));
  fail_usage("--source {}: there is no such file or folder", source);
}

// What a folder of folders needs.
std::string folder_advice(const std::string& source) {
  std::error_code unknown;
  for (fs::directory_iterator entry(source, unknown), end; !unknown && entry != end; entry.increment(unknown)) {
    if (entry->is_directory(unknown)) {
      return fmt::format("; folders inside it are not searched, \"{}\" would",
                         (fs::path(source) / "*" / "*.jpg").string());
    }
  }
  return "";
}

std::optional<int64_t> number_of(const fs::path& path) {
  const std::string stem = path.stem().string();
  if (stem.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return parse_integer(stem);
}

void number_pictures(std::vector<PictureSource>& sources) {
  std::set<int64_t> ids;
  for (const PictureSource& source : sources) {
    if (const std::optional<int64_t> id = number_of(source.path)) ids.insert(*id);
  }
  const bool by_name = ids.size() == sources.size();
  int64_t next = 1;
  for (PictureSource& source : sources) source.image_id = by_name ? *number_of(source.path) : next++;
}

std::string short_stem(const fs::path& path) {
  std::string stem = path.stem().string();
  if (stem.size() <= kMaxStemBytes) return stem;
  size_t end = kMaxStemBytes;
  while (end > 0 && (static_cast<unsigned char>(stem[end]) & 0xC0) == 0x80) --end;  // not inside a UTF-8 character
  stem.resize(end > 0 ? end : kMaxStemBytes);
  return stem;
}

// The exclusive creation decides which of two runs has the folder. False: it holds files, or another run has it.
bool claim(const fs::path& folder) {
  std::error_code error;
  const bool empty = fs::is_empty(folder, error);
  check(!error, "{}: cannot list the folder: {}", folder.string(), error.message());
  if (!empty) return false;
  const int file = ::open((folder / kArgsFile).c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (file < 0 && errno == EEXIST) return false;
  check(file >= 0, "{}: cannot write into this folder: {}", folder.string(), std::strerror(errno));
  ::close(file);
  return true;
}

}  // namespace

std::vector<PictureSource> expand_source(const std::string& source) {
  refuse_streams(source);
  std::vector<PictureSource> sources;
  std::set<std::string> taken;
  for (const fs::path& path : find_pictures(source)) {
    const std::string wanted = short_stem(path);
    std::string stem = wanted;
    for (int n = 2; !taken.insert(stem).second; ++n) stem = fmt::format("{}-{}", wanted, n);
    sources.push_back({path, stem, 0});
  }
  if (sources.empty()) {
    fail_usage("--source {}: no pictures there (jpg, png, bmp, tif, webp, ppm, ...){}", source, folder_advice(source));
  }
  number_pictures(sources);
  return sources;
}

fs::path make_fresh_folder(const fs::path& wanted) {
  const fs::path base = wanted.has_filename() ? wanted : wanted.parent_path();  // "out/" is "out"
  if (base.has_parent_path()) make_directories(base.parent_path());
  for (int n = 1;; ++n) {
    const fs::path folder = n == 1 ? base : fs::path(fmt::format("{}{}", base.string(), n));
    std::error_code error, ignored;
    fs::create_directory(folder, error);
    if (fs::is_directory(folder, ignored)) {
      if (claim(folder)) return folder;
      continue;
    }
    const bool in_the_way = fs::exists(folder, ignored);
    if (in_the_way && n > 1) continue;
    check(!in_the_way, "{}: expected a folder, or nothing yet, for the results; found a file", folder.string());
    fail("{}: cannot make this folder: {}", folder.string(), error.message());
  }
}

}  // namespace yolov3
