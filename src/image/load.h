// Image files to pictures, by one rule for training, evaluation and detection:
// EXIF orientation is applied; grey, 16-bit, palette, alpha (dropped: colour channels as stored) and CMYK/YCCK become
// 8-bit RGB; a file that is cut short, corrupt or of an unsupported kind is an Error that says so, never a partial
// picture. (One gap, of compressed TIFFs: image/cv_formats.h.) docs/images.md has the details.
// Errors: "path: reason...", the reasons as listed in docs/images.md.
// Threads: any.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "image/image.h"

namespace yolov3 {

struct LoadOptions {
  // JPEGs may be decoded at 1/2, 1/4 or 1/8 size where the reduced picture is still at least twice this size on both
  // sides (after EXIF orientation). 0 = always whole ("--exact-decode").
  int net_width = 0, net_height = 0;
};

// A decoded picture and the size that the file has: boxes of annotations and detections are in the pixels of
// full_width x full_height (after EXIF orientation), whatever size was decoded.
struct LoadedImage {
  Image image;
  int full_width = 0, full_height = 0;
};

LoadedImage load_image(const std::filesystem::path& path, const LoadOptions& options = {});

// `name` is for messages.
LoadedImage decode_image(std::string_view bytes, const std::string& name, const LoadOptions& options = {});

// By extension, case ignored: bmp jpg jpeg mpo png tif tiff webp ppm pgm.
bool has_image_extension(const std::filesystem::path& path);

}  // namespace yolov3
