// For tests: pictures drawn into a folder of the test's own, each with a rectangle that can be found again.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "base/files.h"
#include "base/rng.h"
#include "data/dataset.h"
#include "image/letterbox.h"
#include "image/save.h"

namespace yolov3 {

// A folder of pictures made by the test: red and green are 0 but in one painted rectangle, which is the box; blue is
// texture, so that a picture mistaken for another or moved shows.
class DrawnPictures : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) / ("loader_" + std::to_string(getpid()) + "_" + test->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static Image draw(int width, int height, const Box& box, uint64_t texture) {
    Image image(width, height);
    Rng rng(1, texture);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const bool inside = float(x) >= box.x0 && float(x) < box.x1 && float(y) >= box.y0 && float(y) < box.y1;
        image.pixel(x, y)[0] = inside ? 255 : 0;
        image.pixel(x, y)[2] = inside ? 255 : static_cast<uint8_t>(rng.integer(0, 200));
      }
    }
    return image;
  }

  // Lossless, and simple enough to write here: "P6 width height 255" and the pixels.
  Example example(const std::string& name, int width, int height, const Box& box, uint64_t texture = 0) {
    const Image image = draw(width, height, box, texture);
    const std::string pixels(image.rgb.begin(), image.rgb.end());
    const std::filesystem::path path = folder_ / (name + ".ppm");
    write_file(path, "P6\n" + std::to_string(width) + " " + std::to_string(height) + "\n255\n" + pixels);
    return marked(path, box);
  }

  Example jpeg_example(const std::string& name, int width, int height, const Box& box) {
    const std::filesystem::path path = folder_ / (name + ".jpg");
    save_image(path, draw(width, height, box, 0), 98);
    return marked(path, box);
  }

  static Example marked(const std::filesystem::path& path, const Box& box) {
    Example result;
    result.image = path;
    result.origin = "list.txt:" + path.stem().string();
    if (box.area() > 0) result.objects = {{.box = box, .class_id = 2, .area = box.area()}};
    return result;
  }

  // Pictures of varied sizes; each fifth is a background.
  Dataset make_dataset(int count) {
    Dataset dataset;
    dataset.names = {"a", "b", "c"};
    for (int i = 0; i < count; ++i) {
      Rng rng(77, static_cast<uint64_t>(i));
      const auto width = static_cast<int>(rng.integer(40, 90)), height = static_cast<int>(rng.integer(40, 90));
      const auto x0 = float(rng.integer(0, width - 20)), y0 = float(rng.integer(0, height - 20));
      const Box box = i % 5 == 4 ? Box{} : Box{x0, y0, x0 + 17, y0 + 15};
      dataset.examples.push_back(example(std::to_string(i), width, height, box, static_cast<uint64_t>(i)));
    }
    return dataset;
  }

  std::filesystem::path folder_;
};

inline bool same_letterbox(const Letterbox& a, const Letterbox& b) {
  return a.net_width == b.net_width && a.net_height == b.net_height && a.resized_width == b.resized_width &&
         a.resized_height == b.resized_height && a.scale_x == b.scale_x && a.scale_y == b.scale_y &&
         a.pad_x == b.pad_x && a.pad_y == b.pad_y;
}

}  // namespace yolov3
