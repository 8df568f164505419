// What `detect --source` names, as pictures: an image file, a folder, a glob or a list.txt with a path a line.
// Errors: Kind::usage for what is no picture source (a video, a camera, an address), and for one that holds no
// pictures.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace yolov3 {

struct PictureSource {
  std::filesystem::path path;
  std::string stem;      // of the files written for it: unique in this list, so that none overwrites another, and
                         // short enough for any ending
  int64_t image_id = 0;  // COCO's: the numbers in the names when every name is another number, else 1, 2, ...
};

// In byte order of names for folders and globs, in the file's order for lists; what a list names need not exist.
std::vector<PictureSource> expand_source(const std::string& source);

constexpr const char* kArgsFile = "args.toml";

// `wanted`, or `wanted2`, `wanted3`, ... : the first that does not exist yet or is an empty folder. It is made, and
// claimed by an empty kArgsFile in it, so that of several runs at once each has a folder of its own.
// Errors: something that is no folder stands at `wanted`.
std::filesystem::path make_fresh_folder(const std::filesystem::path& wanted);

}  // namespace yolov3
