#include "image/save.h"

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "image/jpeg.h"
#include "image/png.h"

namespace yolov3 {

void save_image(const std::filesystem::path& path, const Image& image, int jpeg_quality) {
  check(!image.empty(), "{}: there is no picture to write", path.string());
  check(jpeg_quality >= 1 && jpeg_quality <= 100, "{}: JPEG quality {} is not in 1..100", path.string(), jpeg_quality);
  const std::string extension = to_lower(path.extension().string());
  if (extension == ".png") {
    write_file(path, encode_png(image));
  } else if (extension == ".jpg" || extension == ".jpeg") {
    write_file(path, encode_jpeg(image, jpeg_quality));
  } else {
    fail("{}: pictures are written as .jpg, .jpeg or .png, not as '{}'", path.string(), extension);
  }
}

}  // namespace yolov3
