// For tests: black pictures with one white quarter, as files, and the box that testing::white_finder() finds in each.
#pragma once

#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "base/error.h"
#include "data/dataset.h"
#include "image/image.h"
#include "image/save.h"

namespace yolov3::testing {

// 64x64; picture i is white in quarter i % 4, where class 1 has its 16x16 box in the middle.
struct Pictures {
  explicit Pictures(int count) {
    std::string path = (std::filesystem::temp_directory_path() / "yolov3_quant_XXXXXX").string();
    check(::mkdtemp(path.data()) != nullptr, "{}: cannot make this folder", path);
    folder = path;
    dataset.names = {"black", "white"};
    for (int i = 0; i < count; ++i) add(i);
  }
  ~Pictures() { std::filesystem::remove_all(folder); }
  Pictures(const Pictures&) = delete;
  Pictures& operator=(const Pictures&) = delete;

  void add(int i) {
    Image image(64, 64, 0);
    const int x = i % 2 * 32, y = i / 2 % 2 * 32;
    for (int row = y; row < y + 32; ++row) {
      for (int column = x; column < x + 32; ++column) {
        for (int c = 0; c < 3; ++c) image.pixel(column, row)[c] = 255;
      }
    }
    Example example;
    example.origin = fmt::format("{:03}.png", i);
    example.image = folder / example.origin;
    example.image_id = i;
    save_image(example.image, image);
    const auto left = static_cast<float>(x + 8), top = static_cast<float>(y + 8);
    const Box box{left, top, left + 16, top + 16};
    example.objects = {{box, 1, false, false, box.area()}};
    dataset.examples.push_back(std::move(example));
  }

  std::filesystem::path folder;
  Dataset dataset;
};

}  // namespace yolov3::testing
