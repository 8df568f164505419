// Finding what a data set's files name, on this machine and as other machines wrote it.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

namespace yolov3 {

// Whatever keeps one from seeing it, it is not there.
bool is_there(const std::filesystem::path& path);
bool is_folder(const std::filesystem::path& path);

// Files below the folder, sorted by their paths; links that lead nowhere are among them. Links to folders are followed,
// each folder once on a way down, so that links in a circle end. Errors: a folder that cannot be listed, over 20
// million files.
std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder);

// The same directly in the folder.
std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder);

// Does `path` lie in the folder or below it, links and ".." followed?
bool is_below(const std::filesystem::path& path, const std::filesystem::path& folder);

// Is there one that fits? Errors: as above, on the way to the first.
bool any_file_below(const std::filesystem::path& folder, const std::function<bool(const std::filesystem::path&)>& fits);

// `path`, or where nothing is there and it holds backslashes, the same with slashes if that is there: written on
// Windows.
std::filesystem::path existing_path(const std::filesystem::path& path);

// "._a.jpg" beside a.jpg: what macOS adds to archives. It ends like a picture or a label and is neither.
bool is_shadow_of_macos(const std::filesystem::path& file);
constexpr const char* kShadowOfMacos = "macOS file ._*";  // as unheld

}  // namespace yolov3
