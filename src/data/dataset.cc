#include "data/dataset.h"

#include "data/synthetic.h"

namespace yolov3 {

LoadedImage load_example(const Example& example, const LoadOptions& options) {
  if (!example.synthetic) return load_image(example.image, options);
  LoadedImage loaded;
  loaded.image = draw_synthetic(*example.synthetic, nullptr);
  loaded.full_width = loaded.image.width;
  loaded.full_height = loaded.image.height;
  return loaded;
}

}  // namespace yolov3
