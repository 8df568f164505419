// How large a picture is, from as little of its file as says so.
//
// The same numbers as load_image gives (upright, after EXIF orientation), without a look at the pixels: a file whose
// header is sound and whose picture is damaged has a size.
// Errors: as load_image where the header is missing or damaged. Threads: any.
#pragma once

#include <filesystem>

namespace yolov3 {

struct PictureSize {
  int width = 0, height = 0;
  bool operator==(const PictureSize&) const = default;
};

PictureSize read_picture_size(const std::filesystem::path& path);

}  // namespace yolov3
