// A picture to a file, by its extension: .jpg and .jpeg, or .png. Whole or not at all (base AtomicFile).
// Errors: another extension, an empty picture, a path that cannot be written.
#pragma once

#include <filesystem>

#include "image/image.h"

namespace yolov3 {

void save_image(const std::filesystem::path& path, const Image& image, int jpeg_quality = 92);

}  // namespace yolov3
