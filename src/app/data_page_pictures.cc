#include "app/data_page_pictures.h"

#include "app/html.h"
#include "base/error.h"
#include "data/cut_out.h"

namespace yolov3 {
namespace {

constexpr int kPicturePx = 360;

// `show` makes a picture out of the loaded one.
template <class Show>
std::string try_picture(const Example& example, const std::string& alt, Show&& show) {
  try {
    return image_tag(show(load_example(example).image), alt);
  } catch (const Error&) {
    return "";
  }
}

Image small(const Image& image) { return shrunk(image, kPicturePx); }

}  // namespace

std::string defect_picture(const Defect& defect) {
  if (defect.picture.empty()) return "";
  Example example;
  example.image = defect.picture;
  return try_picture(example, defect.reason, [&](const Image& image) {
    return defect.box_image ? cut_out(image, *defect.box_image, defect.other_image, kPicturePx) : small(image);
  });
}

std::string object_picture(const Example& example, const Annotation& object) {
  return try_picture(example, "object",
                     [&](const Image& image) { return cut_out(image, object.box, std::nullopt, kPicturePx); });
}

std::string whole_picture(const Example& example, const std::string& alt) { return try_picture(example, alt, small); }

}  // namespace yolov3
